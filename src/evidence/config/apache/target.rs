//! Where Apache's rules lead, and what upstreams get.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::rule::Rule;
use crate::evidence::config::directive::Directive;
use crate::evidence::config::limits::SERVERS;
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::{authority, duration, excerpt};
use crate::evidence::config::{HostHeader, Lookup, Server, Upstream};
use crate::probe::Scheme;
use crate::snapshot::objects::PathType;

/// Directives of a level by their names; of several the last one, which is the one that holds.
pub type Settings<'c> = BTreeMap<&'c str, &'c Directive>;

/// The directives of a level, by their names.
pub fn settings(directives: &[Directive]) -> Settings<'_> {
    directives.iter().map(|d| (d.name.as_str(), d)).collect()
}

/// The members of balancers, by the balancers' names in lower case.
#[derive(Clone, Debug, Default)]
pub struct Balancers<'c>(BTreeMap<String, Vec<Member<'c>>>);

#[derive(Clone, Debug)]
struct Member<'c> {
    url: &'c str,
    is_backup: bool,
    directive: &'c Directive,
}

impl<'c> Balancers<'c> {
    /// The balancers of a server's directives.
    pub fn of(directives: &'c [Directive]) -> Self {
        let mut balancers: BTreeMap<String, Vec<Member<'c>>> = BTreeMap::new();
        for directive in directives {
            match directive.name.as_str() {
                "proxy" => {
                    let Some(name) = balancer_name(directive.arg()) else { continue };
                    let members = directive.inner().iter().filter(|d| d.name == "balancermember");
                    balancers.entry(name).or_default().extend(members.filter_map(|d| member(d, 0)));
                }
                "balancermember" => {
                    let Some(name) = balancer_name(directive.arg()) else { continue };
                    balancers.entry(name).or_default().extend(member(directive, 1));
                }
                _ => {}
            }
        }
        Balancers(balancers)
    }
}

/// The name of `balancer://name/…` in lower case.
fn balancer_name(url: &str) -> Option<String> {
    let rest = url.strip_prefix("balancer://")?;
    Some(rest.split('/').next().unwrap_or_default().to_ascii_lowercase())
}

/// A member that gets requests: `http://app:3000 status=+H`; nothing where it is disabled or stopped.
fn member(directive: &Directive, number: usize) -> Option<Member<'_>> {
    let mut status = directive.args.iter().skip(number).filter_map(|a| a.strip_prefix("status="));
    let status = status.next_back().filter(|s| !s.starts_with('-')).unwrap_or_default().to_ascii_uppercase();
    let is_off = status.contains(['D', 'S', 'E']);
    (!is_off).then(|| Member { url: directive.at(number), is_backup: status.contains('H'), directive })
}

/// What holds where a rule stands.
pub struct Within<'c> {
    /// Settings of the virtual host and of the main server, in this order.
    pub settings: [&'c Settings<'c>; 2],
    /// Balancers of the virtual host and of the main server.
    pub balancers: [&'c Balancers<'c>; 2],
    /// Whether Apache can speak HTTP to upstreams; not known without any `LoadModule`.
    pub has_http: Option<bool>,
}

/// A URL that requests are sent to.
struct Url<'u> {
    scheme: Scheme,
    host: String,
    port: u16,
    path: &'u str,
}

impl Within<'_> {
    /// The upstream of a rule. Nothing, but a note, where it is not HTTP over TCP or not known.
    pub fn upstream(&self, rule: &Rule<'_>, notes: &mut Notes) -> Option<Upstream> {
        let place = &rule.directive.place;
        let written = rule.url.as_deref()?;
        let members: Vec<Member<'_>> = match balancer_name(written) {
            Some(name) => match self.balancers.iter().find_map(|b| b.0.get(&name)) {
                Some(members) => members.clone(),
                None => {
                    notes.add(place, format!("there is no balancer {}", excerpt(&name)));
                    return None;
                }
            },
            None => vec![Member { url: written, is_backup: false, directive: rule.directive }],
        };
        let mut servers: Vec<(Url<'_>, Server)> = Vec::new();
        for member in members.iter().take(SERVERS) {
            let Some(url) = url(member.url, &member.directive.place, notes) else { continue };
            let place = member.directive.place.clone();
            let server = Server { host: url.host.clone(), port: url.port, backup: member.is_backup, place, container: None };
            match servers.first() {
                Some((first, _)) if first.scheme != url.scheme => {
                    notes.add(&server.place, format!("speaks {} unlike the first one, and is left out", url.scheme));
                }
                _ => servers.push((url, server)),
            }
        }
        let (first, _) = servers.first()?;
        self.note_missing(first.scheme, rule, notes);
        let keeps_host = self.is_on(rule, "proxypreservehost");
        let behind =
            balancer_name(written).map(|_| written["balancer://".len()..].find('/').map_or("", |at| &written["balancer://".len() + at..]));
        let path_prefix = path_prefix(rule, first, behind, notes);
        Some(Upstream {
            // Not a balancer's name: the Host header is never made of it.
            name: None,
            scheme: first.scheme,
            lookup: Lookup::WhileRunning,
            host_header: if keeps_host { self.set_host(rule, notes) } else { HostHeader::Upstream },
            path_prefix,
            server_name: (!keeps_host && first.scheme.is_tls() && first.host.parse::<IpAddr>().is_err()).then(|| first.host.clone()),
            verifies: self
                .find(rule, "sslproxyverify")
                .is_some_and(|d| matches!(d.arg().to_ascii_lowercase().as_str(), "require" | "optional")),
            read_timeout: self.read_timeout(rule),
            largest_head: None,
            servers: servers.into_iter().map(|(_, server)| server).collect(),
        })
    }

    /// The directive that holds for a rule.
    fn find<'s>(&'s self, rule: &'s Rule<'_>, name: &str) -> Option<&'s Directive> {
        let own = rule.inner.iter().rfind(|d| d.name == name);
        own.or_else(|| self.settings.iter().find_map(|s| s.get(name).copied()))
    }

    fn is_on(&self, rule: &Rule<'_>, name: &str) -> bool {
        self.find(rule, name).is_some_and(|d| d.arg().eq_ignore_ascii_case("on"))
    }

    /// Notes what Apache lacks to speak to an upstream at all.
    fn note_missing(&self, scheme: Scheme, rule: &Rule<'_>, notes: &mut Notes) {
        let place = &rule.directive.place;
        if self.has_http == Some(false) && matches!(scheme, Scheme::Http | Scheme::Https) {
            notes.add(place, "proxy_http_module is not loaded, so that Apache cannot speak HTTP to it");
        }
        if scheme.is_tls() && !self.is_on(rule, "sslproxyengine") {
            notes.add(place, "SSLProxyEngine is not on, so that Apache cannot speak TLS to it");
        }
    }

    /// The Host header in place of the client's.
    fn set_host(&self, rule: &Rule<'_>, notes: &mut Notes) -> HostHeader {
        let Some(set) = self.find(rule, "requestheader").filter(|d| d.arg() == "set" && d.at(1).eq_ignore_ascii_case("host")) else {
            return HostHeader::Client;
        };
        let value = set.at(2);
        if set.args.len() > 3 || value.contains('%') || value.starts_with("expr=") {
            notes.add(&set.place, format!("the Host header {} is not known; the client's is taken", excerpt(value)));
            return HostHeader::Client;
        }
        HostHeader::Fixed(value.to_owned())
    }

    fn read_timeout(&self, rule: &Rule<'_>) -> Option<Duration> {
        let second = Duration::from_secs(1);
        let of_rule = rule.parameters.iter().find_map(|p| p.strip_prefix("timeout="));
        let of_server = || ["proxytimeout", "timeout"].iter().find_map(|name| self.find(rule, name)).map(Directive::arg);
        duration(of_rule.or_else(of_server)?, second)
    }
}

/// The parts of `http://app:3000/path`. Nothing, but a note, where it is not HTTP over TCP.
fn url<'u>(text: &'u str, place: &crate::evidence::config::Place, notes: &mut Notes) -> Option<Url<'u>> {
    let parsed = text.split_once("://").and_then(|(scheme, rest)| {
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "h2c" => Scheme::H2c,
            "h2" => Scheme::H2,
            _ => return None,
        };
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = authority(host)?;
        Some(Url { scheme, host, port: port.unwrap_or(if scheme.is_tls() { 443 } else { 80 }), path })
    });
    if parsed.is_none() {
        let what = match text.split_once(':').map(|(scheme, _)| scheme) {
            Some("ws" | "wss") => "is for WebSockets and not followed",
            Some("unix") => "leads to a socket and is not followed",
            Some("fcgi" | "ajp" | "scgi" | "uwsgi" | "ftp") => "does not speak HTTP and is not followed",
            _ => "is not understood",
        };
        notes.add(place, format!("{} {what}", excerpt(text)));
    }
    parsed
}

/// What stands in front of the rest of a path after the rule's own; `behind` is what follows a balancer's name.
fn path_prefix(rule: &Rule<'_>, url: &Url<'_>, behind: Option<&str>, notes: &mut Notes) -> Option<String> {
    if !rule.follows {
        if url.path.contains('$') || rule.path_type == PathType::ImplementationSpecific && !url.path.is_empty() {
            notes.add(&rule.directive.place, "the path that the upstream gets is not known; it is taken as kept");
        }
        return None;
    }
    let prefix = match behind {
        Some(behind) => format!("{}{behind}", url.path),
        None => url.path.to_owned(),
    };
    if prefix.is_empty() && rule.path.ends_with('/') {
        notes.add(&rule.directive.place, "the URL lacks a slash at its end, so that the rest of the path joins its port or name");
    }
    (prefix != rule.path).then_some(prefix)
}

//! Addresses of sites, and where they make Caddy listen.

use std::net::IpAddr;

use super::parse::Directive;
use crate::evidence::config::Listener;
use crate::evidence::config::condition::Condition;
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::bound;

/// Global options that say where sites are served.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// The port of plain HTTP.
    pub http_port: u16,
    /// The port of HTTPS.
    pub https_port: u16,
    /// Whether HTTPS is not made by itself.
    pub automatic_off: bool,
    /// Whether plain HTTP is not redirected by itself.
    pub redirects_off: bool,
    /// Addresses to bind where a site names none.
    pub bind: Vec<IpAddr>,
}

/// A site's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    scheme: Option<String>,
    host: String,
    port: Option<u16>,
    path: String,
}

impl Options {
    /// Reads the global options.
    pub fn read(directives: &[Directive], notes: &mut Notes) -> Options {
        let option = |name: &str| directives.iter().rfind(|d| d.name == name);
        let port = |name: &str, default: u16| option(name).and_then(|d| d.first()?.parse().ok()).unwrap_or(default);
        let automatic = |value: &str| option("auto_https").is_some_and(|d| d.texts().any(|t| t == value));
        Options {
            http_port: port("http_port", 80),
            https_port: port("https_port", 443),
            automatic_off: automatic("off"),
            redirects_off: automatic("disable_redirects"),
            bind: option("default_bind").map(|d| addresses(d, notes)).unwrap_or_default(),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options { http_port: 80, https_port: 443, automatic_off: false, redirects_off: false, bind: Vec::new() }
    }
}

impl Address {
    /// Reads an address: `[scheme://][host][:port][/path]`. Nothing where it is none, or where a value of it is not known.
    pub fn read(text: &str) -> Option<Address> {
        let (scheme, rest) = text.split_once("://").map_or((None, text), |(s, r)| (Some(s.to_ascii_lowercase()), r));
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = match authority.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']')) {
            Some((host, port)) => (host, Some(port.parse().ok().filter(|p| *p != 0)?)),
            None => (authority, None),
        };
        let known = scheme.as_deref().is_none_or(|s| matches!(s, "http" | "https")) && !text.contains(['{', '}', ',']);
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        known.then(|| Address { scheme, host, port, path: path.to_owned() })
    }

    /// What its host and path ask for.
    pub fn condition(&self) -> Condition {
        let path = if self.path.is_empty() { Condition::All(Vec::new()) } else { super::matcher::path(&self.path) };
        Condition::All(vec![super::matcher::host(&self.host), path])
    }

    /// Where it makes Caddy listen. `tls` says that the site has a `tls` directive.
    pub fn listeners(&self, tls: bool, bind: &[IpAddr], options: &Options) -> Vec<Listener> {
        let scheme = self.scheme.as_deref();
        let port = self.port.unwrap_or(if scheme == Some("http") { options.http_port } else { options.https_port });
        let by_itself = port == options.https_port && !options.automatic_off;
        let tls =
            scheme == Some("https") || scheme != Some("http") && port != options.http_port && (tls || !self.host.is_empty() || by_itself);
        let bind = if bind.is_empty() { &options.bind } else { bind };
        let everywhere = [IpAddr::from([0, 0, 0, 0])];
        let bind: &[IpAddr] = if bind.is_empty() { &everywhere } else { bind };
        bind.iter().map(|address| Listener { address: *address, ..Listener::on(port, tls) }).collect()
    }
}

/// The addresses of a `bind` or `default_bind`.
pub(super) fn addresses(directive: &Directive, notes: &mut Notes) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for text in directive.texts() {
        match bound(text.strip_prefix("tcp/").unwrap_or(text)) {
            Some(address) => addresses.push(address),
            None => notes.add(&directive.place, format!("the address {text} is not understood")),
        }
    }
    addresses
}

/// What all listeners are together: at one port all speak TLS or none, and plain HTTP is redirected where a site speaks TLS by itself.
pub(super) fn all_listeners<'a>(used: impl Iterator<Item = &'a Listener>, options: &Options) -> Vec<Listener> {
    let mut all: Vec<Listener> = used.cloned().collect();
    let with_tls: Vec<(IpAddr, u16)> = all.iter().filter(|l| l.tls).map(|l| (l.address, l.port)).collect();
    all.iter_mut().for_each(|l| l.tls = with_tls.contains(&(l.address, l.port)));
    let redirects = !options.automatic_off && !options.redirects_off;
    for (address, _) in with_tls.iter().filter(|_| redirects) {
        if !all.iter().any(|l| l.port == options.http_port) {
            all.push(Listener { address: *address, ..Listener::on(options.http_port, false) });
        }
    }
    all.sort();
    all.dedup();
    all
}

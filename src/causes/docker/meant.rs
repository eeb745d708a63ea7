//! A name in a gateway's upstream that gives no address, and the container that was probably meant by it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::causes::{Case, FindingBuilder, Missing};
use crate::path::{ContainerRoute, Leads, ServerPath};
use crate::probe::{LogLine, Observation, Outcome, PodRef, Probe, Question};
use crate::snapshot::objects::docker::Container;

/// What gateways write where a name of an upstream gives no address: nginx, HAProxy, Go's resolver (Caddy, Traefik), Apache, Envoy, and
/// the C library.
const NOT_FOUND: &[&str] = &[
    "host not found",
    "could not resolve",
    "could not be resolved",
    "no such host",
    "DNS lookup failure",
    "DNS resolution fail",
    "Name or service not known",
    "Temporary failure in name resolution",
];

/// Names that stand for the engine's host, where something defines them.
pub const HOST_NAMES: &[&str] = &["host.docker.internal", "gateway.docker.internal", "host.containers.internal"];

/// A server whose name gives the gateway no address.
#[derive(Clone, Debug)]
pub struct Unresolved<'a> {
    /// The route that it stands on.
    pub route: &'a ContainerRoute,
    /// The server.
    pub server: &'a ServerPath,
    /// The look-up from inside the gateway; none where the gateway does not run.
    pub seen: Option<&'a Observation>,
    /// What the gateway itself says of it.
    pub said: Option<&'a str>,
    /// Who was probably meant.
    pub meant: Meant<'a>,
    /// Whether nobody else may be meant as well.
    sure: bool,
}

/// Who was probably meant by a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meant<'a> {
    /// The engine's host.
    TheHost,
    /// A container of a network of the gateway, by its right name, that does not run.
    Stopped(&'a Arc<Container>),
    /// A running container on the default bridge, which gives no names.
    Nameless(&'a Arc<Container>),
    /// A running container that shares no network with the gateway.
    Apart(&'a Arc<Container>),
    /// A container that the gateway's networks know by another name, and that name.
    OtherName(&'a Arc<Container>, String),
    /// A running container that the network knows by this very name now.
    There(&'a Arc<Container>),
    /// A whole domain name: nothing on this engine.
    Outside,
    /// Nobody on this engine.
    Nobody,
}

/// The first server of the upstream whose name gives the gateway no address. Where the gateway does not run, its own words count, and what
/// is declared.
pub fn unresolved<'a>(case: &Case<'a>) -> Result<Option<Unresolved<'a>>, Missing> {
    let Some(route) = case.path.container.as_deref() else { return Ok(None) };
    let names = || route.servers.iter().filter(|s| s.server.host.parse::<IpAddr>().is_err() && !matches!(s.leads, Leads::Loopback(_)));
    if !route.gateway.runs() {
        let lines = log_of(case, &route.gateway)?;
        let said = |s: &ServerPath| lines.iter().map(|l| l.text.as_str()).rev().find(|line| says_not_found(line, &s.server.host));
        let by_words = names().find_map(|s| Some((s, Some(said(s)?))));
        let found = by_words.or_else(|| names().find(|s| s.leads == Leads::Name).map(|s| (s, None)));
        return Ok(found.map(|(server, said)| Unresolved::of(route, server, None, said)));
    }
    for server in names().filter(|s| s.leads == Leads::Name) {
        let seen = case.ask(lookup(case, &server.server.host))?;
        if matches!(seen.outcome, Outcome::NotResolved(_)) {
            return Ok(Some(Unresolved::of(route, server, Some(seen), None)));
        }
    }
    Ok(None)
}

/// The gateway's own look-up of a name: hosts file first, then its resolver.
pub fn lookup(case: &Case<'_>, name: &str) -> Probe {
    Probe { timeout: case.timeout, ..Probe::new(Question::Resolve { name: name.to_owned(), server: None }) }
}

/// The last lines of a container's log; none where it cannot be read.
pub fn log_of<'a>(case: &Case<'a>, container: &Container) -> Result<&'a [LogLine], Missing> {
    let probe = Probe { timeout: case.timeout, ..Probe::new(Question::Log(PodRef::of_container(container))) };
    match case.ask(probe) {
        Ok(Observation { outcome: Outcome::Logged(lines), .. }) => Ok(of_last_run(lines, container)),
        Err(missing @ Missing::Probes(_)) => Err(missing),
        Ok(_) | Err(Missing::Fact(_)) => Ok(&[]),
    }
}

/// The lines that were written since a container was started last: what it said before is over.
fn of_last_run<'l>(lines: &'l [LogLine], container: &Container) -> &'l [LogLine] {
    let Some(started) = container.state.started else { return lines };
    let first = lines.iter().position(|line| line.at.is_none_or(|at| at >= started));
    first.map_or(&[], |at| &lines[at..])
}

fn says_not_found(line: &str, name: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    NOT_FOUND.iter().any(|words| lower.contains(&words.to_ascii_lowercase())) && mentions(&lower, &name.to_ascii_lowercase())
}

/// Whether a line has a name as a word of its own.
fn mentions(line: &str, name: &str) -> bool {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(part_of_name);
        let after = line[at + name.len()..].trim_start_matches('.').chars().next().is_some_and(part_of_name);
        !before && !after
    })
}

/// Who is meant by a name, and whether nobody else may be.
fn meant<'a>(route: &'a ContainerRoute, name: &str) -> (Meant<'a>, bool) {
    let name = name.trim_end_matches('.');
    if HOST_NAMES.iter().any(|n| n.eq_ignore_ascii_case(name)) {
        return (Meant::TheHost, true);
    }
    let gateway = route.netns_owner().unwrap_or(&route.gateway);
    let others = || route.host.containers.iter().filter(|c| c.id != route.gateway.id);
    let known_here = |c: &&Arc<Container>| c.attachments.iter().any(|a| gateway.attachment(&a.network).is_some() && has(&a.names, name));
    // What runs is meant before what does not.
    let mut here: Vec<_> = others().filter(known_here).collect();
    here.sort_by_key(|c| !c.runs());
    if let Some(container) = here.first() {
        return (if container.runs() { Meant::There(container) } else { Meant::Stopped(container) }, true);
    }
    let named = namesakes(route, name);
    match named.first() {
        Some(container) if !container.runs() => (Meant::Stopped(container), true),
        Some(container) if gateway.shared_networks(container).next().is_none() => {
            let rank = |c: &Arc<Container>| likeness(route, c, name);
            (Meant::Apart(container), named.iter().filter(|c| rank(c) == rank(container)).count() == 1)
        }
        Some(container) if !gateway.has_dns() => (Meant::Nameless(container), true),
        Some(container) => (Meant::OtherName(container, name_here(gateway, container)), true),
        None => (nearly(gateway, &mut others(), name), true),
    }
}

/// The containers that go by a name somewhere, those that are most likely meant first. One that does not run is only meant where it would be
/// found if it did, or belongs to the gateway's own project: other stacks have a `web` and a `db` of their own.
fn namesakes<'a>(route: &'a ContainerRoute, name: &str) -> Vec<&'a Arc<Container>> {
    let gateway = route.netns_owner().unwrap_or(&route.gateway);
    let own = |c: &Container| gateway.shared_networks(c).next().is_some() || (c.project().is_some() && c.project() == gateway.project());
    let others = route.host.containers.iter().filter(|c| c.id != route.gateway.id && is_called(c, name));
    let mut named: Vec<_> = others.filter(|c| c.runs() || own(c)).collect();
    named.sort_by_key(|c| likeness(route, c, name));
    named
}

/// How unlikely it is that a container is meant by a name: those of the gateway's project, then services of Compose for a gateway that is one.
fn likeness(route: &ContainerRoute, container: &Container, name: &str) -> (bool, bool, bool) {
    let is_service = route.gateway.project().is_none() || container.service().is_some_and(|s| s.eq_ignore_ascii_case(name));
    (!container.runs(), container.project() != route.gateway.project(), !is_service)
}

fn nearly<'a>(gateway: &Container, others: &mut dyn Iterator<Item = &'a Arc<Container>>, name: &str) -> Meant<'a> {
    let folded = |text: &str| text.to_ascii_lowercase().replace(['_', '.'], "-");
    let wanted = folded(name);
    let distance = |c: &Arc<Container>| {
        let names = c.attachments.iter().filter(|a| gateway.attachment(&a.network).is_some()).flat_map(|a| &a.names);
        names.map(|n| strsim::osa_distance(&folded(n), &wanted)).min()
    };
    let limit = (wanted.len() / 4).clamp(1, 3);
    let near = others.filter_map(|c| Some((distance(c).filter(|d| *d <= limit)?, c))).min_by_key(|(d, c)| (*d, !c.runs()));
    match near {
        Some((_, container)) => Meant::OtherName(container, name_here(gateway, container)),
        None if name.contains('.') => Meant::Outside,
        None => Meant::Nobody,
    }
}

/// Whether a container goes by a name anywhere: its own, its Compose service's, an alias in any network, or its hostname.
fn is_called(container: &Container, name: &str) -> bool {
    let own = [Some(container.name.as_str()), container.service(), Some(container.hostname.as_str())];
    own.into_iter().flatten().any(|n| n.eq_ignore_ascii_case(name)) || container.attachments.iter().any(|a| has(&a.names, name))
}

fn has(names: &[String], name: &str) -> bool {
    names.iter().any(|n| n.eq_ignore_ascii_case(name))
}

/// The name that a network of the gateway knows a container by: its Compose service's before others.
pub fn name_here(gateway: &Container, container: &Container) -> String {
    let known: Vec<&String> =
        container.attachments.iter().filter(|a| gateway.attachment(&a.network).is_some()).flat_map(|a| &a.names).collect();
    let service = container.service().filter(|s| known.iter().any(|n| n == s));
    service.map_or_else(|| known.first().map_or_else(|| container.name.to_string(), ToString::to_string), str::to_owned)
}

impl<'a> Unresolved<'a> {
    fn of(route: &'a ContainerRoute, server: &'a ServerPath, seen: Option<&'a Observation>, said: Option<&'a str>) -> Self {
        let (meant, sure) = meant(route, &server.server.host);
        Unresolved { route, server, seen, said, meant, sure }
    }

    /// The name as it is written.
    pub fn name(&self) -> &'a str {
        &self.server.server.host
    }

    /// Whether it was seen to give no address, looked up from inside the gateway or said by the gateway; and who is meant is certain.
    pub fn is_certain(&self) -> bool {
        self.sure && (self.seen.is_some() || self.said.is_some())
    }

    /// Where the name is written: `shop-gateway-1 (/etc/nginx/conf.d/default.conf:5)`.
    pub fn written(&self) -> String {
        written(self.route, self.server)
    }

    /// What failed, as a line of proof.
    pub fn failing_line(&self) -> String {
        match (self.seen, self.said) {
            (Some(seen), _) => format!("{seen} (from {})", seen.vantage),
            (None, Some(said)) => format!("{} is {}; its log says: {said}", self.route.gateway.name, self.route.gateway.state.status),
            (None, None) => format!("{} is {}", self.route.gateway.name, self.route.gateway.state.status),
        }
    }

    /// Adds to a finding what was seen of the name.
    pub fn evidence(&self, mut finding: FindingBuilder) -> FindingBuilder {
        finding = finding.object(&self.route.gateway.reference(), &self.server.server.place.to_string());
        if let Some(seen) = self.seen {
            finding = finding.saw(seen);
        }
        match self.said {
            Some(said) => finding.logged(&self.route.gateway.name, said),
            None => finding,
        }
    }
}

/// Where a server is written: `shop-gateway-1 (/etc/nginx/conf.d/default.conf:5)`.
pub fn written(route: &ContainerRoute, server: &ServerPath) -> String {
    format!("{} ({})", route.gateway.name, server.server.place)
}

/// The networks of a container, for messages: `shop_default and edge`.
pub fn networks_of(container: &Container) -> String {
    let names: Vec<&str> = container.attachments.iter().map(|a| a.network.as_str()).collect();
    match names.as_slice() {
        [] => "no network".into(),
        [one] => format!("network {one}"),
        [many @ .., last] => format!("networks {} and {last}", many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_mentions_a_name_as_a_word() {
        assert!(says_not_found(r#"[emerg] 1#1: host not found in upstream "app" in /etc/nginx/conf.d/default.conf:5"#, "app"));
        assert!(says_not_found("dial tcp: lookup app on 127.0.0.11:53: no such host", "app"));
        assert!(!says_not_found(r#"host not found in upstream "my-app" in x"#, "app"));
        assert!(!says_not_found("connect() failed (111: Connection refused) upstream: app", "app"));
    }
}

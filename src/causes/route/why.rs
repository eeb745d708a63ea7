//! Why a gateway does not serve a route, by what it does serve.
//!
//! Two causes share the look, and [`of`] decides between them: the gateway does not know the host, or not the path.

use std::collections::BTreeSet;

use crate::causes::{Case, Missing};
use crate::path::{self, Implementation, pattern, traefik};
use crate::probe::{Observation, Probe, Question, Request, Response, Scheme};
use crate::snapshot::objects::{Ingress, PathType};

use super::rivals;
use super::unserved::{self, Unserved, like, rename, same_page, stranger, with_limit};

/// Other names and other paths asked at most.
const MOST: usize = 4;

/// Why it is not served.
#[derive(Clone, Debug)]
pub enum Why<'a> {
    /// The path asked for is not the rule's, and that one is served.
    AnotherPathAsked(&'a Observation),
    /// The rule's path is a pattern that the gateway reads letter by letter; with the line that shows it where there is one.
    Pattern(Option<&'a Observation>),
    /// The other entrance serves the host: the one without TLS, or the one with it.
    OtherEntrance(&'a Observation),
    /// Traefik has nothing that gives the route TLS, and it was asked over TLS.
    PlainRouter,
    /// The Ingress asks for an entry point that the gateway does not have.
    EntryPoint(String),
    /// Another name is served with this route's pages.
    OtherName(String, &'a Observation),
    /// The host is served at another path.
    OtherPath(&'a Observation),
    /// Nothing shows it.
    Unseen,
}

impl Why<'_> {
    /// Whether the gateway knows the host and not the path.
    pub fn is_path(&self) -> bool {
        matches!(self, Why::AnotherPathAsked(_) | Why::Pattern(_) | Why::OtherPath(_))
    }
}

/// Why the gateway does not serve it, by what it does serve.
pub fn of<'a>(case: &Case<'a>, ingress: &Ingress, unserved: &Unserved<'a>) -> Result<Why<'a>, Missing> {
    let route = &case.path.route;
    let Question::Request(asked) = &unserved.answer.probe.question else { return Ok(Why::Unseen) };
    let bare = |path: &str| path.split('?').next().unwrap_or_default().to_owned();
    if bare(&asked.path) != route.asked_path()
        && let Some(seen) = served(case, unserved, |r| r.path = route.asked_path())?
    {
        return Ok(Why::AnotherPathAsked(seen));
    }
    if pattern::is_meant(&route.path, route.path_type) {
        let literal = !route.path.contains(['?', '#', '%']);
        let seen = if literal { served(case, unserved, |r| r.path = route.path.clone())? } else { None };
        if seen.is_some() || reads_letters(case, ingress) {
            return Ok(Why::Pattern(seen));
        }
    }
    if let Some(seen) = other_entrance(case, unserved)? {
        return Ok(Why::OtherEntrance(seen));
    }
    if let Some(names) = missing_entry_point(case, ingress) {
        return Ok(Why::EntryPoint(names));
    }
    if asked.scheme.is_tls() && is_plain_router(case, ingress, asked) {
        return Ok(Why::PlainRouter);
    }
    let (names, paths) = (other_names(case, ingress), other_paths(case));
    let renamed = names.iter().filter_map(|n| like(unserved.answer, |r| rename(r, n)));
    let elsewhere = paths.iter().filter_map(|p| like(unserved.answer, |r| r.path.clone_from(p)));
    let probes: Vec<Probe> = renamed.chain(elsewhere).map(|p| with_limit(case, p)).collect();
    if !probes.is_empty() {
        case.ask_all(probes)?;
    }
    let direct = unserved.direct.response();
    for name in names {
        let seen = served(case, unserved, |r| rename(r, &name))?;
        if let Some(seen) = seen.filter(|o| o.response().zip(direct).is_some_and(|(a, b)| same_page(a, b))) {
            return Ok(Why::OtherName(name, seen));
        }
    }
    for path in paths {
        if let Some(seen) = served(case, unserved, |r| r.path.clone_from(&path))? {
            return Ok(Why::OtherPath(seen));
        }
    }
    Ok(Why::Unseen)
}

/// The gateway's answer to the route's request with a change, where it is not what a host that nobody has gets.
fn served<'a>(case: &Case<'a>, unserved: &Unserved<'a>, change: impl Fn(&mut Request)) -> Result<Option<&'a Observation>, Missing> {
    let Some(probe) = like(unserved.answer, change) else { return Ok(None) };
    let seen = case.ask(with_limit(case, probe))?;
    let same = |r: &Response| unserved.reference.response().is_some_and(|own| same_page(own, r));
    Ok(seen.response().is_some_and(|r| r.status < 500 && !same(r)).then_some(seen))
}

/// The answer of the gateway's other entrance, where it serves the host there.
fn other_entrance<'a>(case: &Case<'a>, unserved: &Unserved<'a>) -> Result<Option<&'a Observation>, Missing> {
    let Question::Request(asked) = &unserved.answer.probe.question else { return Ok(None) };
    let other = case.gateway()?.and_then(|g| g.entrance(!asked.scheme.is_tls()));
    let Some(other) = other else { return Ok(None) };
    let there = |r: &mut Request| (r.to, r.scheme) = (other.address, if other.tls { Scheme::Https } else { Scheme::Http });
    let own = like(unserved.answer, there);
    let nobody = like(unserved.answer, |r| {
        there(r);
        stranger(r);
    });
    let (Some(own), Some(nobody)) = (own, nobody) else { return Ok(None) };
    let (own, nobody) = (with_limit(case, own), with_limit(case, nobody));
    case.ask_all(vec![own.clone(), nobody.clone()])?;
    let pages = (case.seen.get(&own), case.seen.get(&nobody).and_then(|o| o.response()));
    let (Some(own), Some(nobody)) = pages else { return Ok(None) };
    // A redirect to the entrance that does not know the host serves nobody.
    let serves = |r: &Response| r.status < 500 && !(300..400).contains(&r.status) && !same_page(r, nobody);
    Ok(own.response().is_some_and(serves).then_some(own))
}

/// Whether the gateway reads a pattern in this route's path letter by letter.
fn reads_letters(case: &Case<'_>, ingress: &Ingress) -> bool {
    let implementation = case.path.gateway.known().map(|g| g.implementation);
    let by_prefix = case.path.route.path_type != PathType::ImplementationSpecific;
    implementation == Some(Implementation::Traefik) && (by_prefix || traefik::annotation(ingress, "pathmatcher") != Some("PathRegexp"))
}

/// Whether Traefik's arguments, which are known, and the Ingress' annotations leave the route without TLS.
fn is_plain_router(case: &Case<'_>, ingress: &Ingress, asked: &Request) -> bool {
    let traefik = case.path.gateway.known().filter(|g| g.implementation == Implementation::Traefik);
    let at_known_port = |g: &&std::sync::Arc<path::Gateway>| traefik::defined(g).values().any(|port| *port == asked.to.port());
    !traefik::is_tls_only(ingress) && traefik.filter(at_known_port).is_some_and(|g| !traefik::gives_tls(g, asked.to.port()))
}

/// The entry points that the Ingress names, where the gateway's arguments define others only.
fn missing_entry_point(case: &Case<'_>, ingress: &Ingress) -> Option<String> {
    let gateway = case.path.gateway.known().filter(|g| g.implementation == Implementation::Traefik)?;
    let (wanted, defined) = (traefik::entry_points(ingress), traefik::defined(gateway));
    let has = |name: &&str| {
        defined.keys().any(|n| n.eq_ignore_ascii_case(name))
            || gateway.service.ports.iter().any(|p| p.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name)))
    };
    (!wanted.is_empty() && !defined.is_empty() && !wanted.iter().any(has)).then(|| wanted.join(", "))
}

/// Names that the route may be served under and that no rule has: those of the TLS entries, and with or without `www.`.
fn other_names(case: &Case<'_>, ingress: &Ingress) -> Vec<String> {
    let Some(host) = case.path.route.host.as_deref().filter(|h| !h.starts_with("*.")) else { return Vec::new() };
    let www = host.strip_prefix("www.").map_or_else(|| format!("www.{host}"), str::to_owned);
    let names: BTreeSet<&str> = ingress.tls.iter().flat_map(|t| &t.hosts).map(String::as_str).chain([www.as_str()]).collect();
    let names = names.into_iter().filter(|n| *n != host && !n.starts_with("*.") && !unserved::has_rule(case, n));
    names.take(MOST).map(str::to_owned).collect()
}

/// Other paths of the host, by the rules of all Ingresses; `/` last.
fn other_paths(case: &Case<'_>) -> Vec<String> {
    let own = case.path.route.asked_path();
    let host = case.path.route.host.as_deref().unwrap_or_default();
    let routes = case.snapshot.ingresses_for_host(host).flat_map(|i| path::routes_of(i));
    let of_host = routes.filter(|r| r.host == case.path.route.host && r.field != rivals::DEFAULT_BACKEND).map(|r| r.asked_path());
    let mut paths: Vec<String> = of_host.collect::<BTreeSet<_>>().into_iter().filter(|p| *p != own && p != "/").take(MOST).collect();
    paths.extend((own != "/").then(|| "/".to_owned()));
    paths
}

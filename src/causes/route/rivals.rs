//! Rules with the same host and path as a route, and which of the two gets the requests.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::causes::{Case, Missing};
use crate::fact::Fact;
use crate::path::{self, Backend, Implementation, Route, gateway};
use crate::probe::{Observation, Outcome, Probe, Response};
use crate::snapshot::objects::{Ingress, IngressClass, PathType};

/// Endpoints of one backend asked at most.
const MOST: usize = 3;

/// A rule that claims the same host and path.
#[derive(Clone, Debug)]
pub struct Rival {
    /// The rule.
    pub route: Route,
    /// Where it leads.
    pub backend: Backend,
    /// Whether the same gateway reads it for sure.
    pub certain: bool,
}

/// Who gets the requests, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Winner {
    /// The other rule.
    Rival,
    /// The answers do not tell.
    Unknown,
    /// The route that is judged.
    Own,
}

/// What the answers tell.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Who gets the requests.
    pub winner: Winner,
    /// Whether status and body agree, and not the status alone.
    pub exact: bool,
    /// The gateway's answer that shows it.
    pub answer: Option<&'a Observation>,
    /// The winner's own answer to the same request.
    pub direct: Option<&'a Observation>,
}

/// The rules that claim a route's host and path for another backend.
pub fn of(case: &Case<'_>, ingress: &Ingress) -> Result<Vec<Rival>, Missing> {
    let own = &case.path.route;
    among(case, ingress, &[own.host.as_deref().unwrap_or_default()], |_, r| r.host == own.host && claim(r) == claim(own))
}

/// The rules of some hosts that lead to another backend and that the same gateway may read.
pub fn among(case: &Case<'_>, ingress: &Ingress, hosts: &[&str], wanted: impl Fn(&Ingress, &Route) -> bool) -> Result<Vec<Rival>, Missing> {
    let own = &case.path.route;
    let implementation = case.path.gateway.known().map_or(Implementation::Other, |g| g.implementation);
    let mut found = Vec::new();
    if is_canary(ingress) || own.field == DEFAULT_BACKEND {
        return Ok(found);
    }
    for other in hosts.iter().flat_map(|h| case.snapshot.ingresses_for_host(h)) {
        let of_host = |r: &Route| hosts.contains(&r.host.as_deref().unwrap_or_default()) && r.field != DEFAULT_BACKEND;
        let itself = |r: &Route| r.target == own.target && r.field == own.field;
        let seen = |r: &Route| found.iter().any(|f: &Rival| f.route.target == r.target && f.route.field == r.field);
        let routes = path::routes_of(other).into_iter().filter(|r| of_host(r) && !itself(r) && r.service.is_some() && !seen(r));
        let routes: Vec<Route> = routes.filter(|r| wanted(other, r)).collect();
        if routes.is_empty() || other.meta.deleting || is_canary(other) || apart(ingress, other) {
            continue;
        }
        for route in routes {
            let backend = path::backend::resolve(case.snapshot, &route, Some(other), implementation);
            if same_backend(case, &route, &backend) {
                continue;
            }
            if let Some(certain) = same_gateway(case, ingress, other)? {
                found.push(Rival { route, backend, certain });
            }
        }
    }
    Ok(found)
}

/// Field of a route that takes what no rule matches.
pub const DEFAULT_BACKEND: &str = "spec.defaultBackend";

/// What a rule claims: gateways read `ImplementationSpecific` as a prefix, and a trailing slash adds nothing to one.
pub fn claim(route: &Route) -> (bool, &str) {
    match route.path_type {
        PathType::Exact => (true, &route.path),
        PathType::Prefix | PathType::ImplementationSpecific => (false, route.path.trim_end_matches('/')),
    }
}

fn is_canary(ingress: &Ingress) -> bool {
    let names = ["nginx.ingress.kubernetes.io/canary", "ingress.kubernetes.io/canary"];
    names.iter().any(|n| ingress.meta.annotations.get(n).is_some_and(|v| v == "true"))
}

/// Whether two Ingresses ask for different entrances of the gateway: one for plain text and one for TLS is usual with Traefik.
fn apart(a: &Ingress, b: &Ingress) -> bool {
    let annotation = |i: &Ingress, name: &str| i.meta.annotations.get(&format!("traefik.ingress.kubernetes.io/router.{name}")).cloned();
    let entrances = |i| annotation(i, "entrypoints").map(|v| v.split(',').map(|e| e.trim().to_owned()).collect::<BTreeSet<_>>());
    let tls = |i| annotation(i, "tls").is_some_and(|v| v == "true");
    entrances(a).zip(entrances(b)).is_some_and(|(a, b)| a.is_disjoint(&b)) || tls(a) != tls(b)
}

/// Whether both lead to the same: one Service and port, or the same addresses.
fn same_backend(case: &Case<'_>, route: &Route, backend: &Backend) -> bool {
    let own = case.path;
    let port = |b: &Backend| b.port.known().map(|p| p.port);
    let same_port = own.route.port == route.port || port(&own.backend).is_some_and(|p| port(backend) == Some(p));
    let sockets = |b: &Backend| b.ready_endpoints().filter_map(path::Endpoint::socket).collect::<BTreeSet<_>>();
    let addresses = sockets(&own.backend);
    (own.route.service == route.service && same_port) || (!addresses.is_empty() && addresses == sockets(backend))
}

/// Whether one gateway reads both: surely, perhaps, or no.
fn same_gateway(case: &Case<'_>, own: &Ingress, other: &Ingress) -> Result<Option<bool>, Missing> {
    if own.meta.key() == other.meta.key() || (own.class.is_some() && own.class == other.class) {
        return Ok(Some(true));
    }
    let of = |fact: &Fact<Arc<IngressClass>>| match fact {
        Fact::Known(class) => Ok(Some(class.meta.name.clone())),
        Fact::Absent => Ok(None),
        Fact::NotAsked | Fact::Failed(_) => Err(Missing::Fact("whether another Ingress has the same class is not known".into())),
    };
    let other_class = gateway::class_of(case.snapshot, other);
    Ok(match (of(&case.path.class)?, of(&other_class)?) {
        (Some(a), Some(b)) if a == b => Some(true),
        (Some(_), Some(_)) => {
            let service = |g: &Fact<Arc<path::Gateway>>| g.known().map(|g| g.service.meta.key());
            let theirs = gateway::find(case.snapshot, other, &other_class);
            service(&case.path.gateway).filter(|own| Some(own) == service(&theirs).as_ref()).map(|_| true)
        }
        (None, None) => Some(own.class == other.class),
        (None, Some(_)) | (Some(_), None) => Some(false),
    })
}

/// Sends the gateway's request to the endpoints of both, and compares.
pub fn judge<'a>(case: &Case<'a>, rival: &Rival) -> Result<Judged<'a>, Missing> {
    let answers: Vec<&'a Observation> = case.answers().collect();
    let Some(first) = answers.first() else { return Ok(Judged { winner: Winner::Unknown, exact: false, answer: None, direct: None }) };
    let probes = |b: &Backend| -> Vec<Probe> {
        let sockets = b.ready_endpoints().filter_map(path::Endpoint::socket).take(MOST);
        sockets.filter_map(|to| case.same_request(first, to, b.scheme)).collect()
    };
    let (own, other) = (probes(&case.path.backend), probes(&rival.backend));
    // What may not be asked leaves the matter open; only what was not asked yet is worth another round.
    if let Err(Missing::Probes(unasked)) = case.ask_all(own.iter().chain(&other).cloned().collect()) {
        return Err(Missing::Probes(unasked));
    }
    let (own, other) = (Side::of(case, &case.path.backend, &own), Side::of(case, &rival.backend, &other));
    let judged = answers.iter().filter_map(|o| o.response().map(|r| compare(o, r, &own, &other)));
    let unknown = Judged { winner: Winner::Unknown, exact: false, answer: Some(first), direct: None };
    // One answer of the rival is enough to say that it gets requests; else one of the route's own.
    Ok(judged.min_by_key(|j| (j.winner == Winner::Unknown, j.winner, !j.exact)).unwrap_or(unknown))
}

/// One of the two backends, asked directly.
struct Side<'a> {
    seen: Vec<&'a Observation>,
    /// Whether it is known to answer nobody.
    dead: bool,
    /// Whether all that was to be asked of it was asked.
    known: bool,
}

impl<'a> Side<'a> {
    fn of(case: &Case<'a>, backend: &Backend, probes: &[Probe]) -> Self {
        let seen: Vec<_> = probes.iter().filter_map(|p| case.seen.get(p)).collect();
        let external = backend.service.known().is_some_and(|s| s.external_name.is_some());
        let nobody = probes.is_empty() && backend.slices.known().is_some() && !external;
        let broken = !seen.is_empty() && seen.iter().all(|o| matches!(o.outcome, Outcome::Broken { .. }));
        let sent = |o: &&Observation| !matches!(o.outcome, Outcome::NotSent(_));
        let known = nobody || (!seen.is_empty() && seen.len() == probes.len() && seen.iter().all(sent));
        Side { seen, dead: nobody || broken, known }
    }

    fn answer(&self, holds: impl Fn(&Response) -> bool) -> Option<&'a Observation> {
        self.seen.iter().copied().find(|o| o.response().is_some_and(&holds))
    }
}

fn compare<'a>(answer: &'a Observation, response: &Response, own: &Side<'a>, other: &Side<'a>) -> Judged<'a> {
    let same_status = |r: &Response| r.status == response.status;
    let same_page = |r: &Response| same_status(r) && r.body_hash == response.body_hash;
    let judged = |winner, exact, direct| Judged { winner, exact, answer: Some(answer), direct };
    // A side that was not asked may answer just the same.
    if !own.known || !other.known {
        return judged(Winner::Unknown, false, None);
    }
    match (own.answer(same_page), other.answer(same_page)) {
        (Some(direct), None) => return judged(Winner::Own, true, Some(direct)),
        (None, Some(direct)) => return judged(Winner::Rival, true, Some(direct)),
        (Some(_), Some(_)) => return judged(Winner::Unknown, false, None),
        (None, None) => {}
    }
    // An error of the gateway fits the backend that answers nobody, where the other one does answer.
    let failed = response.status == 404 || response.status >= 500;
    match (own.answer(same_status), other.answer(same_status)) {
        (None, None) if failed && other.dead && !own.seen.is_empty() && !own.dead => judged(Winner::Rival, false, None),
        (None, None) if failed && own.dead && !other.seen.is_empty() && !other.dead => judged(Winner::Own, false, None),
        (Some(direct), None) if !failed => judged(Winner::Own, false, Some(direct)),
        (None, Some(direct)) if !failed => judged(Winner::Rival, false, Some(direct)),
        _ => judged(Winner::Unknown, false, None),
    }
}

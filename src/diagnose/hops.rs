//! The path as a row of hops: which pass, which one fails, which were not reached.

use crate::api::{AnsweredBy, Hop, HopState, HopStatus, Verdict};
use crate::causes::{Behind, Observations};
use crate::path::{ContainerRoute, Leads, Path, ServerPath};
use crate::probe::{Outcome, Signature};
use crate::snapshot::objects::{Key, Kind, ObjectRef};

use super::plan;

/// The hops of a path, given where the fault sits.
pub fn of(path: &Path, verdict: Verdict, fault: Option<Hop>, answered_by: AnsweredBy, seen: &Observations) -> Vec<HopStatus> {
    let all = [Hop::Gateway, Hop::Route, Hop::Service, Hop::Endpoint, Hop::Network, Hop::Socket, Hop::Protocol, Hop::Application];
    let present = all.into_iter().filter(|h| *h != Hop::Gateway || !path.gateway.is_absent());
    present
        .map(|hop| {
            let state = match (verdict, fault) {
                (Verdict::Healthy, _) => HopState::Passing,
                // A cause on the node or before the gateway has no place of its own in the row: what was seen is all there is.
                (_, Some(fault)) if fault == hop => HopState::Failing,
                (_, Some(fault)) if hop > fault => HopState::NotReached,
                _ => seen_state(path, hop, answered_by, seen),
            };
            HopStatus { hop, objects: objects(path, hop), state, detail: detail(path, hop) }
        })
        .collect()
}

/// What was seen of a hop on its own.
fn seen_state(path: &Path, hop: Hop, answered_by: AnsweredBy, seen: &Observations) -> HopState {
    let walked: Vec<_> = plan::walk(path).iter().filter_map(|p| seen.get(p).cloned()).collect();
    let passing = |yes: bool| if yes { HopState::Passing } else { HopState::Unknown };
    let connected = |o: &crate::probe::Observation| match &o.outcome {
        Outcome::Broken { signature, .. } => {
            !matches!(signature, Signature::Refused | Signature::ConnTimeout | Signature::HostUnreach | Signature::NetUnreach)
        }
        outcome => !matches!(outcome, Outcome::NotSent(_)),
    };
    let reached =
        |o: &crate::probe::Observation| connected(o) || matches!(o.outcome, Outcome::Broken { signature: Signature::Refused, .. });
    match hop {
        Hop::Gateway => passing(!matches!(answered_by, AnsweredBy::Nobody | AnsweredBy::Unknown)),
        Hop::Route if path.container.is_some() => HopState::Passing,
        Hop::Route => passing(path.backend.service.known().is_some() && path.backend.port.known().is_some()),
        Hop::Service => passing(!path.backend.endpoints.is_empty()),
        Hop::Endpoint => passing(path.backend.ready_endpoints().next().is_some()),
        Hop::Network => passing(!walked.is_empty() && walked.iter().all(reached)),
        Hop::Socket => passing(!walked.is_empty() && walked.iter().all(connected)),
        Hop::Protocol => passing(!walked.is_empty() && walked.iter().all(|o| o.response().is_some())),
        Hop::Application => passing(!walked.is_empty() && walked.iter().all(|o| o.response().is_some_and(|r| r.status < 500))),
        Hop::Client | Hop::Edge | Hop::Node => HopState::Unknown,
    }
}

/// Objects named at most.
const MOST: usize = 3;

fn objects(path: &Path, hop: Hop) -> Vec<String> {
    match (&path.container, hop) {
        (Some(route), Hop::Gateway) => return vec![route.gateway.reference().text()],
        (Some(_), Hop::Route) => return vec![path.route.field.clone()],
        (Some(route), Hop::Service) => return vec![format!("upstream {}", route.upstream_name())],
        _ => {}
    }
    match hop {
        Hop::Gateway => path.gateway.known().map_or_else(Vec::new, |g| {
            let pods: Vec<String> = g.pods.iter().take(MOST).map(|p| p.reference().text()).collect();
            if pods.is_empty() { vec![service(&g.service.meta.key())] } else { pods }
        }),
        Hop::Route => vec![path.route.target.text()],
        Hop::Service => path.route.service.iter().map(service).collect(),
        Hop::Endpoint => {
            let names = path.backend.endpoints.iter().take(MOST).map(|e| match Behind::of(e) {
                Some(behind) => behind.reference().text(),
                None => e.socket().map_or_else(|| e.address.to_string(), |s| s.to_string()),
            });
            names.collect()
        }
        Hop::Client | Hop::Edge | Hop::Network | Hop::Socket | Hop::Protocol | Hop::Application | Hop::Node => Vec::new(),
    }
}

fn service(key: &Key) -> String {
    ObjectRef { kind: Kind::Service, key: key.clone() }.text()
}

fn detail(path: &Path, hop: Hop) -> Option<String> {
    match hop {
        Hop::Gateway => Some(match &path.gateway {
            crate::fact::Fact::Known(g) => format!("{}, found by {}", g.implementation, g.found_by),
            other => other.why_unknown()?.to_owned(),
        }),
        Hop::Route => Some(path.route.title()),
        Hop::Service if let Some(route) = &path.container => Some(leads(route)),
        Hop::Endpoint if path.container.is_some() => addresses(path),
        Hop::Service => path.backend.port.known().map(|p| format!("port {} → {}", p.port, p.target)),
        Hop::Endpoint => {
            let (ready, all) = (path.backend.ready_endpoints().count(), path.backend.endpoints.len());
            path.backend.slices.known().map(|_| format!("{ready} of {all} ready"))
        }
        Hop::Protocol => Some(path.backend.scheme.to_string()),
        Hop::Client | Hop::Edge | Hop::Network | Hop::Socket | Hop::Application | Hop::Node => None,
    }
}

/// Where the servers of an upstream lead: `app:3000 → Container/shop-app-1`.
fn leads(route: &ContainerRoute) -> String {
    let lead = |server: &ServerPath| {
        let to = match &server.leads {
            Leads::Loopback(_) => "the gateway itself".to_owned(),
            Leads::Containers(found) => found.iter().take(MOST).map(|(c, _)| c.reference().text()).collect::<Vec<_>>().join(", "),
            Leads::Host(_) => "the engine's host".to_owned(),
            Leads::Address(_) => "an address that is no container's".to_owned(),
            Leads::Name => "no container by that name".to_owned(),
        };
        format!("{} → {to}", server.server)
    };
    route.servers.iter().take(MOST).map(lead).collect::<Vec<_>>().join("; ")
}

/// The addresses of the endpoints.
fn addresses(path: &Path) -> Option<String> {
    let all: Vec<String> = path.backend.endpoints.iter().filter_map(|e| e.socket()).take(MOST).map(|s| s.to_string()).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

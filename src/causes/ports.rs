//! Where the pods of a route listen, where the port that the Service sends to refuses.
//!
//! Four causes share this look: the Service's port is wrong, the application's port is wrong, or the application listens on
//! loopback only, or on the other IP family. [`Refusal::fault`] tells them apart, so that one refusal never gets two answers of the same
//! strength by chance. Where an agent looks into the pod, its listen table decides.

mod fault;
mod hints;
mod look;
mod pod;
mod table;

use std::sync::Arc;

use crate::causes::{Case, EndpointView, Missing, sample};
use crate::fact::Fact;
use crate::path::policy;
use crate::probe::{Observation, Outcome, Probe, Signature};
use crate::snapshot::objects::{Pod, PortRef};
pub use fault::Fault;
pub use hints::{Hints, is_auxiliary};
pub use look::{Elsewhere, Grade, Source, best, common, grade};
pub use pod::{answers_kubelet, declared, is_probed_by_network, kubelet_gets_through, readiness_asks, runs, same_template, settles};
use pod::{containers, owners};
pub use table::Table;

/// Endpoints that refuse the port that the Service sends to.
#[derive(Clone, Debug)]
pub struct Refusal<'a> {
    /// The endpoints that refuse and whose pods run.
    pub endpoints: Vec<EndpointView<'a>>,
    /// The pod of the first of them.
    pub pod: &'a Arc<Pod>,
    /// The port that refuses.
    pub port: u16,
    /// Whether every endpoint that was walked refuses.
    pub all: bool,
    /// Whether they are ready; where none is, those that are not are looked at.
    pub ready: bool,
    /// Whether spec and Service agree on the port: it is declared, named, or the program is told to listen on it.
    pub agreed: bool,
    /// Whether the Service sends to the container's port by its name.
    pub named: bool,
    /// Whether a pod of the same template listens on the port.
    pub sibling_listens: bool,
    /// What the program is told about where to listen.
    pub hints: Hints,
    /// Another port of the pod that answers.
    pub elsewhere: Option<Elsewhere<'a>>,
    /// The same port at the pod's address of the other IP family, where that accepts.
    pub twin: Option<&'a Observation>,
    /// What the pod's own listen table says of the port, where an agent could look.
    pub table: Option<Table<'a>>,
}

impl Refusal<'_> {
    /// The setting that tells the program to listen on another port, where none names this one.
    pub fn told_elsewhere(&self) -> Option<&str> {
        let named = |port: u16| self.hints.ports().any(|(told, _)| told == port);
        if named(self.port) { None } else { self.hints.ports().next().map(|(_, text)| text) }
    }

    /// The first request that was refused.
    pub fn first(&self) -> Option<&Observation> {
        self.endpoints.first().map(|e| e.seen)
    }

    /// `all 3 endpoints`, `1 of 3 endpoints` or, where none is ready, `none of its pods is ready`.
    pub fn share(&self, case: &Case<'_>) -> String {
        match (self.ready, self.endpoints.len()) {
            (true, n) => case.share(n),
            (false, 1) => "the only endpoint".into(),
            (false, n) => format!("all {n} endpoints"),
        }
    }

    /// The one look that tells loopback, another port and no listener apart.
    pub fn deciding_command(&self) -> String {
        format!("kubectl -n {} exec {} -- cat /proc/net/tcp /proc/net/tcp6", self.pod.meta.namespace, self.pod.meta.name)
    }

    /// What that look shows in each case.
    pub fn deciding_line(&self) -> String {
        let port = self.port;
        format!("{}: 0100007F:{port:04X} in state 0A is port {port} on 127.0.0.1; no {port:04X} is another port", self.deciding_command())
    }
}

/// Looks at what refuses and at what else its pod listens on. Nothing where no endpoint refuses, or the port is open for one IP family.
pub fn refusal<'a>(case: &Case<'a>) -> Result<Option<Refusal<'a>>, Missing> {
    Ok(refused(case)?.filter(|r| r.twin.is_none()))
}

/// The same, whatever the other IP family shows.
pub fn refused<'a>(case: &Case<'a>) -> Result<Option<Refusal<'a>>, Missing> {
    let (ready, walked) = walked(case)?;
    let is_refused = |v: &EndpointView<'_>| v.seen.signature() == Some(Signature::Refused);
    let mut refused = Vec::new();
    for view in walked.iter().filter(|v| is_refused(v)) {
        match &view.endpoint.pod {
            Fact::Known(pod) => refused.push((*view, pod)),
            // Nobody's address is the business of whoever wrote the EndpointSlice.
            Fact::Absent => {}
            Fact::NotAsked => return Err(unknown_pod(view, "it was not looked up")),
            Fact::Failed(why) => return Err(unknown_pod(view, why)),
        }
    }
    refused.retain(|(view, pod)| runs(pod, view.endpoint.port) && (ready || readiness_asks(pod, view.endpoint.port)));
    if refused.is_empty() {
        return Ok(None);
    }
    let all_settle = refused.iter().all(|(view, pod)| settles(pod, view.seen));
    if !all_settle {
        refused.retain(|(view, pod)| !settles(pod, view.seen));
    }
    let Some((first, pod)) = refused.first().copied() else { return Ok(None) };
    let Some(port) = first.endpoint.port else { return Ok(None) };
    let hints = Hints::of(owners(pod, port));
    let table = case.look_if_possible(pod)?.map(|look| Table::of(look, first.endpoint.address, port));
    let found = look::elsewhere(case, pod, first.endpoint.address, port, &hints, table.as_ref())?;
    // What serves users elsewhere has started, and what keeps to loopback will; else a port that was only just to be opened is
    // no fault yet.
    let serves = found.twin.is_some() || found.best.as_ref().is_some_and(|e| e.grade == Grade::Serves && e.source != Source::Auxiliary);
    let is_bound = hints.loopback_at(port).is_some() || table.is_some_and(|t| t.is_bound_elsewhere());
    if all_settle && !serves && !is_bound {
        return Err(Missing::Fact("the containers that refuse have only just started".into()));
    }
    // Where the pod itself has no open port, no policy needs to refuse.
    let may_be_open = table.is_none_or(|t| t.at.is_served());
    if let (None, true, Some(missing)) = (found.twin, may_be_open, rejected_by_policy(case, pod, port, found.best.as_ref())) {
        return Err(missing);
    }
    let named = matches!(case.service_port()?.map(|p| &p.target), Some(PortRef::Name(_)));
    let told = || declared(pod).next().is_none() && hints.ports().any(|(p, _)| p == port);
    let agreed = named || declared(pod).any(|(p, _)| p == port) || told();
    let listens = |v: &&EndpointView<'_>| !is_refused(v) && v.endpoint.pod.known().is_some_and(|p| same_template(p, pod));
    // One that could not be asked may well listen.
    let asked = sample(&case.path.backend.endpoints).filter(|e| e.ready == ready && e.port.is_some() && (ready || !e.terminating)).count();
    Ok(Some(Refusal {
        all: refused.len() == walked.len() && walked.len() == asked,
        sibling_listens: walked.iter().any(|v| listens(&v)),
        endpoints: refused.iter().map(|(view, _)| *view).collect(),
        pod,
        port,
        ready,
        agreed,
        named,
        hints,
        elsewhere: found.best,
        twin: found.twin,
        table,
    }))
}

/// The ready endpoints with what the gateway's request showed; where none is ready, those that are not.
pub fn walked<'a>(case: &Case<'a>) -> Result<(bool, Vec<EndpointView<'a>>), Missing> {
    if !case.ready_endpoints()?.is_empty() {
        return Ok((true, case.walked()?));
    }
    let endpoints = sample(&case.path.backend.endpoints).filter(|e| !e.terminating);
    let probes: Vec<_> = endpoints.filter_map(|e| e.socket().map(|s| (e, case.request_to(s, case.path.backend.scheme)))).collect();
    if probes.is_empty() {
        return Ok((false, Vec::new()));
    }
    case.ask_all(probes.iter().map(|(_, p)| p.clone()).collect())?;
    let view = |(endpoint, probe)| case.seen.get(&probe).map(|seen| EndpointView { endpoint, seen });
    let seen = probes.into_iter().filter_map(view).filter(|v| !matches!(v.seen.outcome, Outcome::NotSent(_)));
    Ok((false, seen.collect()))
}

/// Where hardly any program listens (the port of TCPMUX, RFC 1078).
const CLOSED: u16 = 1;
/// A kernel tries again after a second; what is not taken before was dropped once.
pub const AT_ONCE: std::time::Duration = std::time::Duration::from_millis(900);

/// A quick connect to a port of a pod that is closed: where it is refused, packets reach the pod.
pub fn closed_port(case: &Case<'_>, ip: std::net::IpAddr) -> Probe {
    Probe { timeout: AT_ONCE, ..case.connect_to(std::net::SocketAddr::new(ip, CLOSED)).again(1) }
}

fn unknown_pod(view: &EndpointView<'_>, why: &str) -> Missing {
    Missing::Fact(format!("the pod behind {} is not known: {why}", view.endpoint.address))
}

/// Some networks reject what a NetworkPolicy denies instead of dropping it, which looks like a closed port.
fn rejected_by_policy(case: &Case<'_>, pod: &Pod, port: u16, elsewhere: Option<&Elsewhere<'_>>) -> Option<Missing> {
    let policies = &case.path.backend.policies;
    let gateway = case.path.gateway.known().and_then(|g| g.pods.first());
    let denied = |port| match gateway {
        Some(gateway) => policy::keeps_out(case.snapshot, policies, pod, port, gateway),
        // Who asks is not known, so neither is whether a policy lets it in.
        None => policy::may_keep_out(case.snapshot, policies, pod),
    };
    let denied = |port| denied(port) == Fact::Known(true);
    // What answers although it is denied as well shows that the policies are not what refuses.
    (denied(port) && !elsewhere.is_some_and(|e| denied(e.port)))
        .then(|| Missing::Fact(format!("a NetworkPolicy may deny port {port} of {}, and be what refuses", pod.reference())))
}

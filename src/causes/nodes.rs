//! What the gateway's pods see of a route's endpoints, from node to node. Asked where something is lost; a route that works costs nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::causes::network::node_of;
use crate::causes::{Case, Missing, sample};
use crate::path::{Endpoint, Gateway};
use crate::probe::{Observation, Outcome, PodRef, Probe, Signature};
use crate::snapshot::objects::Pod;

/// Nodes that are asked from at most.
const MOST_NODES: usize = 4;

/// One of the gateway's pods, which probes are sent from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The pod.
    pub pod: &'a Arc<Pod>,
    /// Its node.
    pub node: &'a str,
    /// Whether the vantage chose it by itself: what names no pod was asked from there.
    chosen: bool,
}

impl Source<'_> {
    /// A probe, sent from here.
    pub fn probe(&self, probe: Probe) -> Probe {
        if self.chosen { probe } else { probe.from_inside(self.pod) }
    }

    /// Whether an answer to its probe was seen from here. The vantage may have asked elsewhere: its agent was gone, or it asks there as clients do.
    pub fn has_seen(&self, answer: &Observation) -> bool {
        let own = || answer.vantage == PodRef::of(self.pod).to_string();
        !matches!(answer.outcome, Outcome::NotSent(_)) && (!self.chosen || own())
    }
}

/// The gateway's pods that probes are sent from: the vantage's own choice first, then one on each other node, those that clients were asked at
/// before others. Empty where the vantage enters no pod of the gateway, since no agent is there then.
pub fn sources<'a>(case: &Case<'a>) -> Result<Vec<Source<'a>>, Missing> {
    let Some(gateway) = case.gateway()? else { return Ok(Vec::new()) };
    let views = case.walked()?;
    let Some(own) = views.iter().find_map(|v| asked_from(gateway, v.seen)) else { return Ok(Vec::new()) };
    let entrances = gateway.entrances.iter().filter_map(|e| gateway.pods.iter().find(|p| p.ips.contains(&e.address.ip())));
    let mut sources = vec![own];
    for pod in entrances.chain(&gateway.pods).filter(|p| p.runs() && !p.meta.deleting) {
        let Some(node) = pod.node.as_deref() else { continue };
        if sources.len() < MOST_NODES && sources.iter().all(|s| s.node != node) {
            sources.push(Source { pod, node, chosen: false });
        }
    }
    Ok(sources)
}

/// The gateway's pod that a vantage asked from by its own choice.
fn asked_from<'a>(gateway: &'a Gateway, seen: &Observation) -> Option<Source<'a>> {
    let (namespace, name) = seen.vantage.strip_prefix("pod ")?.split_once('/')?;
    let pod = gateway.pods.iter().find(|p| p.meta.name == *name && p.meta.namespace == *namespace)?;
    Some(Source { pod, node: pod.node.as_deref()?, chosen: true })
}

/// What one of the gateway's pods saw of one endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// Who asked.
    pub source: Source<'a>,
    /// Who was asked.
    pub endpoint: &'a Endpoint,
    /// The endpoint's node.
    pub to: &'a str,
    /// The gateway's own request, and what came of it.
    pub seen: &'a Observation,
}

impl Cell<'_> {
    /// Whether packets got there, whatever was answered.
    pub fn is_reached(&self) -> bool {
        self.source.has_seen(self.seen) && !is_lost(self.seen)
    }

    /// Whether packets did not arrive.
    pub fn is_lost(&self) -> bool {
        self.source.has_seen(self.seen) && is_lost(self.seen)
    }
}

/// Whether packets did not arrive.
pub fn is_lost(seen: &Observation) -> bool {
    matches!(seen.signature(), Some(Signature::ConnTimeout | Signature::HostUnreach | Signature::NetUnreach))
}

/// What came of all requests from one node to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// There is nobody to ask, or nobody to be asked.
    Nobody,
    /// Some could not be sent from there, and none arrived.
    Unknown,
    /// None arrived.
    Lost,
    /// Some arrived.
    Reached,
}

/// Every ready endpoint, asked from several nodes.
#[derive(Clone, Debug, Default)]
pub struct Matrix<'a>(Vec<Cell<'a>>);

impl<'a> Matrix<'a> {
    /// Asks for what is missing of it. Empty where nothing is lost, or where the gateway is asked from on one node alone.
    pub fn of(case: &Case<'a>) -> Result<Self, Missing> {
        let sources = if is_worth_asking(case)? { sources(case)? } else { Vec::new() };
        if sources.len() < 2 {
            return Ok(Matrix::default());
        }
        let (mut cells, mut unasked) = (Vec::new(), Vec::new());
        for source in sources {
            for endpoint in sample(&case.path.backend.endpoints).filter(|e| e.ready) {
                let (Some(to), Some(socket)) = (node_of(endpoint), endpoint.socket()) else { continue };
                let probe = source.probe(case.request_to(socket, case.path.backend.scheme));
                match case.seen.get(&probe) {
                    Some(seen) => cells.push(Cell { source, endpoint, to, seen }),
                    None => unasked.push(probe),
                }
            }
        }
        if unasked.is_empty() { Ok(Matrix(cells)) } else { Err(Missing::Probes(unasked)) }
    }

    /// Whether nothing was asked from several nodes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was asked from one node to another.
    pub fn between(&self, from: &str, to: &str) -> impl Iterator<Item = Cell<'a>> {
        self.0.iter().copied().filter(move |c| c.source.node == from && c.to == to)
    }

    /// What came of it.
    pub fn link(&self, from: &str, to: &str) -> Link {
        let (mut any, mut unsent) = (false, false);
        for cell in self.between(from, to) {
            if cell.is_reached() {
                return Link::Reached;
            }
            any = true;
            unsent |= !cell.is_lost();
        }
        match (any, unsent) {
            (false, _) => Link::Nobody,
            (true, true) => Link::Unknown,
            (true, false) => Link::Lost,
        }
    }

    /// The nodes that were asked from.
    pub fn from(&self) -> BTreeSet<&'a str> {
        self.0.iter().map(|c| c.source.node).collect()
    }

    /// The nodes that endpoints are on.
    pub fn to(&self) -> BTreeSet<&'a str> {
        self.0.iter().map(|c| c.to).collect()
    }
}

/// Whether packets may be lost on some node: a request to an endpoint was, or one through the gateway met what a gateway says or does then.
fn is_worth_asking(case: &Case<'_>) -> Result<bool, Missing> {
    let no_answer = |o: &&Observation| match &o.outcome {
        Outcome::Response(response) => matches!(response.status, 502..=504),
        _ => o.signature() == Some(Signature::ReadTimeout),
    };
    Ok(case.failures.iter().any(no_answer) || case.walked()?.iter().any(|v| is_lost(v.seen)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;

    #[test]
    fn what_was_asked_elsewhere_is_not_taken_for_what_the_gateway_saw() {
        let mut pod = Pod::default();
        (pod.meta.namespace, pod.meta.name) = ("traefik".into(), "traefik-1".into());
        let pod = Arc::new(pod);
        let probe = Probe::connect(([10, 0, 0, 7], 80).into());
        let seen = |vantage: &str, outcome| Observation {
            probe: probe.clone(),
            vantage: vantage.into(),
            at: Timestamp::UNIX_EPOCH,
            took: Duration::ZERO,
            outcome,
        };
        let chosen = Source { pod: &pod, node: "node1", chosen: true };
        assert!(chosen.has_seen(&seen("pod traefik/traefik-1", Outcome::Connected)));
        assert!(!chosen.has_seen(&seen("pod culprit-system/culprit-x", Outcome::Connected)), "its agent was gone");
        assert!(!chosen.has_seen(&seen("pod traefik/traefik-1", Outcome::NotSent("over budget".into()))));
        let named = Source { chosen: false, ..chosen };
        assert_eq!(named.probe(probe.clone()).from.as_deref(), Some(&PodRef::of(&pod)));
        assert_eq!(chosen.probe(probe.clone()), probe);
    }
}

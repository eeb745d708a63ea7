//! Probes sent from where they mean most: from inside the gateway's pod by its node's agent, and else from here.

use futures::future::BoxFuture;

use super::local::Local;
use super::{Lends, Vantage};
use crate::controller::agents::{Agents, Unanswered};
use crate::controller::placing::{self, Place, Placing};
use crate::probe::{Observation, PodRef, Probe, Question};
use crate::snapshot::objects::ObjectRef;
use crate::stream::LONGEST_PROBE;

/// The vantage of one examination.
#[derive(Debug)]
pub struct Placed<'a, S> {
    local: &'a Local,
    agents: &'a Agents,
    snapshot: &'a S,
    placing: Placing,
    /// The gateway's pod that probes are sent from; none where no agent can enter one.
    inside: Option<Place>,
}

impl<'a, S: Lends> Placed<'a, S> {
    /// For a target: from inside the first of its gateway's pods whose node has an agent.
    pub fn of(local: &'a Local, agents: &'a Agents, snapshot: &'a S, target: &ObjectRef) -> Self {
        let placing = if agents.is_empty() { Placing::default() } else { snapshot.lend(|s| Placing::of(s, target)) };
        let inside = placing.gateway.iter().find(|place| agents.has(&place.node)).cloned();
        Placed { local, agents, snapshot, placing, inside }
    }

    /// Where a probe is sent from; none means here.
    fn place(&self, probe: &Probe) -> Option<&Place> {
        let at_gateway = probe.address().is_some_and(|to| self.placing.entrances.contains(&to.ip()));
        self.inside.as_ref().filter(|_| !at_gateway && probe.timeout <= LONGEST_PROBE)
    }

    /// Asks inside the very pod that is named. Only the agent of its node can.
    async fn ask_inside(&self, pod: &PodRef, probe: &Probe) -> Observation {
        let Some(node) = self.snapshot.lend(|s| placing::node_of(s, pod)) else {
            return not_sent(probe, pod, format!("{pod} is on no node"));
        };
        // The message names the pod already.
        let plain = Probe { from: None, ..probe.clone() };
        match self.agents.ask(&node, pod, &plain).await {
            Ok(seen) => Observation { probe: probe.clone(), ..seen },
            Err(unanswered) => not_sent(probe, pod, unanswered.to_string()),
        }
    }

    async fn ask_at(&self, place: &Place, probe: &Probe) -> Observation {
        match self.agents.ask(&place.node, &place.pod, probe).await {
            Ok(seen) => seen,
            Err(Unanswered::NoSession(_)) => self.local.ask(probe).await,
            Err(unanswered) => not_sent(probe, &place.pod, unanswered.to_string()),
        }
    }
}

fn not_sent(probe: &Probe, pod: &PodRef, why: String) -> Observation {
    Observation::not_sent(probe.clone(), pod.to_string(), jiff::Timestamp::now(), why)
}

impl<S: Lends> Vantage for Placed<'_, S> {
    fn name(&self) -> &str {
        self.local.name()
    }

    fn ask<'a>(&'a self, probe: &'a Probe) -> BoxFuture<'a, Observation> {
        let inside = match &probe.question {
            Question::Look(pod) => Some(pod),
            _ => probe.from.as_deref(),
        };
        if let Some(pod) = inside {
            return Box::pin(self.ask_inside(pod, probe));
        }
        match self.place(probe) {
            Some(place) => Box::pin(self.ask_at(place, probe)),
            None => self.local.ask(probe),
        }
    }
}

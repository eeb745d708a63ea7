//! What the causes about NetworkPolicies share: endpoints that the gateway does not reach, and the policies that deny them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::api::Confidence;
use crate::causes::{Case, EndpointView, Missing, known};
use crate::path::Gateway;
use crate::path::policy::{self, Decision, Direction, Peer};
use crate::probe::{Observation, Outcome, Signature};
use crate::snapshot::objects::{Kind, NetworkPolicy, ObjectRef, Pod, PolicyPort, Transport};

/// How a connection fails that a policy denies, by enforcer.
pub const BLOCKED: &[Signature] = &[Signature::ConnTimeout, Signature::Refused, Signature::HostUnreach, Signature::NetUnreach];
/// Above this a gateway has waited for somebody; what is refused fails within milliseconds.
const WAITED: Duration = Duration::from_secs(1);

/// An endpoint that the gateway does not reach, and the policies that keep one of its pods from there.
#[derive(Clone, Debug)]
pub struct Denied<'a> {
    /// The endpoint, with what the gateway's request to it showed from here.
    pub view: EndpointView<'a>,
    /// The endpoint's port.
    pub port: u16,
    /// The gateway's pod.
    pub gateway: &'a Arc<Pod>,
    /// The policies that select the pod in this direction; none of them admits the connection.
    pub policies: Vec<Arc<NetworkPolicy>>,
    direction: Direction,
}

impl Denied<'_> {
    /// The policies as references.
    pub fn names(&self) -> BTreeSet<ObjectRef> {
        self.policies.iter().map(|p| reference(p)).collect()
    }

    /// How sure it is that the policies are what fails. Silence is what enforcers give; a refusal is what a closed port gives as well.
    pub fn confidence(&self, case: &Case<'_>) -> Confidence {
        let waited = |o: &&Observation| o.signature() == Some(Signature::ReadTimeout) || o.took >= WAITED;
        match (self.view.seen.signature(), self.direction) {
            // The gateway's own policies do not apply here: what keeps this vantage away is something else or also that.
            (Some(Signature::ConnTimeout), Direction::Ingress) => Confidence::Proven,
            (None, _) if case.failures.iter().all(waited) => Confidence::Proven,
            (_, _) => Confidence::Likely,
        }
    }

    /// What the policies say with another reading of their ports or of who the gateway is.
    pub fn decide(&self, case: &Case<'_>, gateway: Peer<'_>, admits: &dyn Fn(&PolicyPort) -> bool) -> Option<Decision> {
        let policies = crate::fact::Fact::Known(self.policies.clone());
        let backend = self.backend();
        let (pod, peer) = match self.direction {
            Direction::Ingress => (self.view.endpoint.pod.known()?.as_ref(), gateway),
            Direction::Egress => (self.gateway.as_ref(), backend),
        };
        policy::decide(case.snapshot, &policies, self.direction, pod, &peer, admits).known().cloned()
    }

    /// Who stands at the other end of the pod that the policies select.
    pub fn peer(&self) -> Peer<'_> {
        match self.direction {
            Direction::Ingress => Peer::of(self.gateway),
            Direction::Egress => self.backend(),
        }
    }

    fn backend(&self) -> Peer<'_> {
        backend(&self.view)
    }
}

fn backend<'v>(view: &'v EndpointView<'_>) -> Peer<'v> {
    let address = std::slice::from_ref(&view.endpoint.address);
    view.endpoint.pod.known().map_or(Peer::outside(address), |pod| Peer::of(pod))
}

/// A policy's reference.
pub fn reference(policy: &NetworkPolicy) -> ObjectRef {
    ObjectRef { kind: Kind::NetworkPolicy, key: policy.meta.key() }
}

/// The endpoints that the gateway does not reach and that policies in this direction keep it from.
pub fn denied<'a>(case: &Case<'a>, direction: Direction) -> Result<Vec<Denied<'a>>, Missing> {
    let views = unreached(case, direction)?;
    let Some(gateway) = case.gateway()?.filter(|_| !views.is_empty()) else { return Ok(Vec::new()) };
    let policies = match direction {
        Direction::Ingress => case.path.backend.policies.clone(),
        Direction::Egress => case.snapshot.policies_in(&gateway.service.meta.namespace),
    };
    let mut found = Vec::new();
    for view in views {
        let Some(port) = view.endpoint.port else { continue };
        for pod in &gateway.pods {
            let decision = match (direction, view.endpoint.pod.known()) {
                (Direction::Ingress, None) => continue,
                // Most networks let a node reach its own pods, whatever policies say.
                (Direction::Ingress, Some(backend)) if pod.host_network && pod.node == backend.node => continue,
                (Direction::Ingress, Some(backend)) => policy::ingress(case.snapshot, &policies, backend, port, &Peer::of(pod)),
                (Direction::Egress, to) => {
                    let to = (&backend(&view), to.map(AsRef::as_ref));
                    policy::egress(case.snapshot, &policies, pod, to, (Transport::Tcp, port))
                }
            };
            if let Some(Decision::Denied(policies)) = known(&decision, "what NetworkPolicies say")?.cloned() {
                found.push(Denied { view, port, gateway: pod, policies, direction });
            }
        }
    }
    Ok(found)
}

/// Endpoints that cannot be connected to from here, and those that answer here while the gateway gets no answer from them.
fn unreached<'a>(case: &Case<'a>, direction: Direction) -> Result<Vec<EndpointView<'a>>, Missing> {
    let away = gets_no_answer(case);
    let mut views = case.walked()?;
    views.retain(|v| match v.seen.signature() {
        None => away,
        // Who refuses this vantage is not the gateway's own policy.
        Some(Signature::Refused) => direction == Direction::Ingress,
        Some(signature) => BLOCKED.contains(&signature),
    });
    Ok(views)
}

/// Whether the gateway fails as one does that cannot connect: with silence, or its own 502, 503 or 504.
pub fn gets_no_answer(case: &Case<'_>) -> bool {
    let alike = |o: &&Observation| match &o.outcome {
        Outcome::Response(response) => matches!(response.status, 502..=504),
        _ => o.signature() == Some(Signature::ReadTimeout),
    };
    !case.failures.is_empty() && case.failures.iter().all(alike)
}

/// The pods of a gateway that a policy selects for outgoing traffic; empty where none is, without asking anything.
pub fn egress_selects<'a>(case: &Case<'a>, gateway: &'a Gateway) -> Result<Vec<&'a Arc<Pod>>, Missing> {
    let policies = case.snapshot.policies_in(&gateway.service.meta.namespace);
    let Some(policies) = known(&policies, "NetworkPolicies of the gateway's namespace")? else { return Ok(Vec::new()) };
    let selected = |p: &&Arc<Pod>| policies.iter().any(|policy| policy.egress.is_some() && policy.pods.matches(&p.meta.labels));
    Ok(gateway.pods.iter().filter(selected).collect())
}

/// Names of policies as a sentence begins with them.
pub fn listed(policies: &BTreeSet<ObjectRef>) -> String {
    policies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

//! What NetworkPolicies say about one connection between a gateway's pod and a backend's.
//!
//! Kubernetes API, `networking.k8s.io/v1`: a pod that no policy selects for a direction is open; one that is selected admits
//! the union of what the selecting policies' rules allow. Ports are the pod's, after address translation.

pub mod cluster;

use std::net::IpAddr;
use std::sync::Arc;

use crate::fact::Fact;
use crate::snapshot::Snapshot;
use crate::snapshot::objects::{Labels, NetworkPolicy, Pod, PolicyPeer, PolicyPort, PolicyRule, PortRef, Selector, Transport};

/// What policies say about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No policy selects the pod for this direction.
    NotSelected,
    /// A rule admits it.
    Admitted,
    /// Policies select the pod and none admits it.
    Denied(Vec<Arc<NetworkPolicy>>),
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// Namespace of the pod; empty where it is none.
    pub namespace: &'a str,
    /// Its labels.
    pub labels: Option<&'a Labels>,
    /// Its addresses.
    pub addresses: &'a [IpAddr],
    /// Pods on the host's network are seen as their node, which no pod selector matches.
    pub host_network: bool,
}

impl<'a> Peer<'a> {
    /// A pod as a peer.
    pub fn of(pod: &'a Pod) -> Self {
        Peer { namespace: &pod.meta.namespace, labels: Some(&pod.meta.labels), addresses: &pod.ips, host_network: pod.host_network }
    }

    /// Addresses that no pod has.
    pub fn outside(addresses: &'a [IpAddr]) -> Self {
        Peer { namespace: "", labels: None, addresses, host_network: false }
    }
}

/// The direction that policies are read for, seen from the pod that they select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the pod.
    Ingress,
    /// From the pod.
    Egress,
}

impl Direction {
    /// The field of a policy that holds its rules.
    pub fn field(self) -> &'static str {
        match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
    }

    /// A policy's rules; none where it does not apply.
    pub fn rules(self, policy: &NetworkPolicy) -> Option<&[PolicyRule]> {
        match self {
            Direction::Ingress => policy.ingress.as_deref(),
            Direction::Egress => policy.egress.as_deref(),
        }
    }
}

/// What the policies of a pod's namespace say about a connection from a peer to one of its ports.
pub fn ingress(snapshot: &Snapshot, policies: &Fact<Vec<Arc<NetworkPolicy>>>, pod: &Pod, port: u16, peer: &Peer<'_>) -> Fact<Decision> {
    let admits = |p: &PolicyPort| admits_port(p, Transport::Tcp, Some(pod), port);
    decide(snapshot, policies, Direction::Ingress, pod, peer, &admits)
}

/// What the policies of a pod's namespace say about a connection from it to a peer's port. The peer's pod is needed for ports by name.
pub fn egress(
    snapshot: &Snapshot,
    policies: &Fact<Vec<Arc<NetworkPolicy>>>,
    pod: &Pod,
    to: (&Peer<'_>, Option<&Pod>),
    (transport, port): (Transport, u16),
) -> Fact<Decision> {
    let admits = |p: &PolicyPort| admits_port(p, transport, to.1, port);
    decide(snapshot, policies, Direction::Egress, pod, to.0, &admits)
}

/// The same with any reading of ports. Where rules cannot be judged, because a namespace's labels are not known, the answer is not known
/// either, unless another rule admits.
pub fn decide(
    snapshot: &Snapshot,
    policies: &Fact<Vec<Arc<NetworkPolicy>>>,
    direction: Direction,
    pod: &Pod,
    peer: &Peer<'_>,
    admits_port: &dyn Fn(&PolicyPort) -> bool,
) -> Fact<Decision> {
    policies.as_ref().and_then(|policies| {
        let selects = |p: &&Arc<NetworkPolicy>| direction.rules(p).is_some() && p.pods.matches(&pod.meta.labels);
        let selecting: Vec<_> = policies.iter().filter(selects).cloned().collect();
        // What stands on the host's network is the node's to judge.
        if selecting.is_empty() || pod.host_network {
            return Fact::Known(Decision::NotSelected);
        }
        let mut unknown = None;
        for (policy, rule) in selecting.iter().flat_map(|p| direction.rules(p).into_iter().flatten().map(move |rule| (p, rule))) {
            if !(rule.ports.is_empty() || rule.ports.iter().any(admits_port)) {
                continue;
            }
            match admits_peer(snapshot, rule, &policy.meta.namespace, peer) {
                Fact::Known(true) => return Fact::Known(Decision::Admitted),
                Fact::Failed(why) => unknown = Some(why),
                Fact::Known(false) | Fact::Absent | Fact::NotAsked => {}
            }
        }
        unknown.map_or(Fact::Known(Decision::Denied(selecting)), Fact::Failed)
    })
}

/// Whether policies of any kind keep a pod from a port of another one, on paper and at that one's end.
pub fn keeps_out(snapshot: &Snapshot, policies: &Fact<Vec<Arc<NetworkPolicy>>>, pod: &Pod, port: u16, from: &Pod) -> Fact<bool> {
    ingress(snapshot, policies, pod, port, &Peer::of(from)).and_then(|decision| {
        if let Decision::Denied(_) = decision {
            return Fact::Known(true);
        }
        let connection = cluster::Connection {
            direction: Direction::Ingress,
            pod,
            peer: Peer::of(from),
            peer_pod: Some(from),
            transport: Transport::Tcp,
            port,
        };
        cluster::denied(snapshot, &connection, decision == Decision::Admitted).map(|by| by.is_some())
    })
}

/// Whether policies of any kind may keep somebody from a pod.
pub fn may_keep_out(snapshot: &Snapshot, policies: &Fact<Vec<Arc<NetworkPolicy>>>, pod: &Pod) -> Fact<bool> {
    let selects = |p: &Arc<NetworkPolicy>| p.ingress.is_some() && p.pods.matches(&pod.meta.labels);
    policies.as_ref().and_then(|policies| match policies.iter().any(selects) {
        true => Fact::Known(true),
        false => cluster::may_deny(snapshot, Direction::Ingress, pod),
    })
}

/// Whether a port of a rule is this one.
pub fn admits_port(allowed: &PolicyPort, transport: Transport, pod: Option<&Pod>, port: u16) -> bool {
    if allowed.transport != transport {
        return false;
    }
    match (&allowed.port, allowed.end_port) {
        (None, _) => true,
        (Some(PortRef::Number(first)), Some(last)) => (*first..=last).contains(&port),
        (Some(PortRef::Number(number)), None) => *number == port,
        (Some(PortRef::Name(name)), _) => {
            let ports = pod.into_iter().flat_map(|p| &p.containers).flat_map(|c| &c.ports);
            ports.into_iter().any(|p| p.name.as_ref() == Some(name) && p.port == port)
        }
    }
}

/// Whether a rule's peers hold this one.
pub fn admits_peer(snapshot: &Snapshot, rule: &PolicyRule, own_namespace: &str, peer: &Peer<'_>) -> Fact<bool> {
    if rule.peers.is_empty() {
        return Fact::Known(true);
    }
    let mut answer = Fact::Known(false);
    for allowed in &rule.peers {
        match is_peer(snapshot, allowed, own_namespace, peer) {
            Fact::Known(true) => return Fact::Known(true),
            Fact::Known(false) => {}
            unknown => answer = unknown,
        }
    }
    answer
}

fn is_peer(snapshot: &Snapshot, allowed: &PolicyPeer, own_namespace: &str, peer: &Peer<'_>) -> Fact<bool> {
    let (namespaces, pods) = match allowed {
        PolicyPeer::Block { cidr, except } => {
            let within = |ip: &IpAddr| cidr.contains(ip) && !except.iter().any(|e| e.contains(ip));
            return Fact::Known(peer.addresses.iter().any(within));
        }
        PolicyPeer::Pods { namespaces, pods } => (namespaces, pods),
    };
    let Some(labels) = peer.labels.filter(|_| !peer.host_network) else { return Fact::Known(false) };
    if pods.as_ref().is_some_and(|s: &Selector| !s.matches(labels)) {
        return Fact::Known(false);
    }
    match namespaces {
        None => Fact::Known(peer.namespace == own_namespace),
        Some(selector) => matches_namespace(snapshot, selector, peer.namespace),
    }
}

/// The label that the API sets on every namespace.
const NAME: &str = "kubernetes.io/metadata.name";

/// Whether a selector matches a namespace; the name label is there even where namespaces could not be read.
fn matches_namespace(snapshot: &Snapshot, selector: &Selector, name: &str) -> Fact<bool> {
    let namespace = snapshot.namespace(name);
    let by_name_alone = selector.labels.keys().all(|key| key == NAME) && selector.expressions.iter().all(|e| e.key == NAME);
    if let (Some(why), false) = (namespace.why_unknown(), by_name_alone) {
        return Fact::Failed(format!("the labels of namespace {name}: {why}"));
    }
    let mut labels = namespace.known().map(|n| n.meta.labels.clone()).unwrap_or_default();
    labels.insert(NAME.into(), name.into());
    Fact::Known(selector.matches(&labels))
}

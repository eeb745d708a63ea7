//! What the NetworkPolicies of a backend's namespace say about one connection.
//!
//! Kubernetes API, `networking.k8s.io/v1`: a pod that no policy selects for a direction is open; one that is selected admits
//! the union of what the selecting policies' rules allow. Ports are the pod's, after address translation.

use std::net::IpAddr;
use std::sync::Arc;

use crate::fact::Fact;
use crate::snapshot::Snapshot;
use crate::snapshot::objects::{Labels, NetworkPolicy, Pod, PolicyPeer, PolicyPort, PolicyRule, PortRef, Selector, Transport};

/// What policies say about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No policy selects the pod for incoming traffic.
    NotSelected,
    /// A rule admits it.
    Admitted,
    /// Policies select the pod and none admits it.
    Denied(Vec<Arc<NetworkPolicy>>),
}

/// Who connects.
#[derive(Clone, Debug)]
pub struct Peer<'a> {
    /// Namespace of the connecting pod.
    pub namespace: &'a str,
    /// Its labels.
    pub labels: &'a Labels,
    /// Its addresses.
    pub addresses: &'a [IpAddr],
    /// Pods on the host's network are seen as their node, which no pod selector matches.
    pub host_network: bool,
}

impl<'a> Peer<'a> {
    /// A pod as a peer.
    pub fn of(pod: &'a Pod) -> Self {
        Peer { namespace: &pod.meta.namespace, labels: &pod.meta.labels, addresses: &pod.ips, host_network: pod.host_network }
    }
}

/// What the policies of a pod's namespace say about a connection from a peer to one of its ports.
pub fn ingress(snapshot: &Snapshot, policies: &Fact<Vec<Arc<NetworkPolicy>>>, pod: &Pod, port: u16, peer: &Peer<'_>) -> Fact<Decision> {
    policies.as_ref().map(|policies| {
        let selecting: Vec<_> = policies.iter().filter(|p| p.ingress.is_some() && p.pods.matches(&pod.meta.labels)).cloned().collect();
        if selecting.is_empty() {
            return Decision::NotSelected;
        }
        let admits = |rule: &PolicyRule, namespace: &str| {
            (rule.ports.is_empty() || rule.ports.iter().any(|p| admits_port(p, pod, port)))
                && (rule.peers.is_empty() || rule.peers.iter().any(|p| admits_peer(snapshot, p, namespace, peer)))
        };
        let admitted = selecting.iter().any(|p| p.ingress.iter().flatten().any(|rule| admits(rule, &p.meta.namespace)));
        if admitted { Decision::Admitted } else { Decision::Denied(selecting) }
    })
}

fn admits_port(allowed: &PolicyPort, pod: &Pod, port: u16) -> bool {
    if allowed.transport != Transport::Tcp {
        return false;
    }
    match (&allowed.port, allowed.end_port) {
        (None, _) => true,
        (Some(PortRef::Number(first)), Some(last)) => (*first..=last).contains(&port),
        (Some(PortRef::Number(number)), None) => *number == port,
        (Some(PortRef::Name(name)), _) => {
            pod.containers.iter().flat_map(|c| &c.ports).any(|p| p.name.as_ref() == Some(name) && p.port == port)
        }
    }
}

fn admits_peer(snapshot: &Snapshot, allowed: &PolicyPeer, own_namespace: &str, peer: &Peer<'_>) -> bool {
    match allowed {
        PolicyPeer::Block { cidr, except } => peer.addresses.iter().any(|ip| cidr.contains(ip) && !except.iter().any(|e| e.contains(ip))),
        PolicyPeer::Pods { .. } if peer.host_network => false,
        PolicyPeer::Pods { namespaces, pods } => {
            let namespace_matches = match namespaces {
                None => peer.namespace == own_namespace,
                Some(selector) => selector.matches(&namespace_labels(snapshot, peer.namespace)),
            };
            namespace_matches && pods.as_ref().is_none_or(|s: &Selector| s.matches(peer.labels))
        }
    }
}

/// Labels of a namespace; the name label that the API sets on every namespace is there even where namespaces could not be read.
fn namespace_labels(snapshot: &Snapshot, name: &str) -> Labels {
    let mut labels = snapshot.namespace(name).known().map(|n| n.meta.labels.clone()).unwrap_or_default();
    labels.insert("kubernetes.io/metadata.name".into(), name.into());
    labels
}

//! Policies of the whole cluster, which stand above and below NetworkPolicies.
//!
//! Group `policy.networking.k8s.io`: AdminNetworkPolicy and BaselineAdminNetworkPolicy (v1alpha1), and ClusterNetworkPolicy (v1alpha2), which
//! takes the place of both. Whether a pod network enforces them is its own affair.

use super::{Kind, Meta, ObjectRef, PolicyPeer, PolicyPort, Selector};

/// A policy of the whole cluster, of any of the three kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterPolicy {
    /// Its kind.
    pub kind: Kind,
    /// Metadata.
    pub meta: Meta,
    /// Whether it stands above or below NetworkPolicies.
    pub tier: Tier,
    /// Lower ones are asked first within a tier.
    pub priority: i32,
    /// The pods that it is about; none where that could not be read.
    pub subject: Option<Subject>,
    /// Rules for incoming traffic, in order.
    pub ingress: Vec<ClusterRule>,
    /// Rules for outgoing traffic, in order.
    pub egress: Vec<ClusterRule>,
}

/// When policies are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Before NetworkPolicies.
    Admin,
    /// Where no NetworkPolicy selects the pod.
    Baseline,
}

/// Pods by their namespace's labels and their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Of the namespace.
    pub namespaces: Selector,
    /// Of the pod.
    pub pods: Selector,
}

/// One rule: what is done with connections of any of the peers on any of the ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRule {
    /// What is done.
    pub action: Action,
    /// Peers.
    pub peers: Vec<ClusterPeer>,
    /// Ports; empty means every port.
    pub ports: Vec<PolicyPort>,
}

/// What is done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is admitted, whatever stands below (`Allow`, `Accept`).
    Allow,
    /// It is denied.
    Deny,
    /// The next tier decides.
    Pass,
}

/// A peer of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterPeer {
    /// Pods, or an address block.
    Among(PolicyPeer),
    /// Some of the nodes.
    Nodes,
    /// Something else: a domain name, or what a later version of the API has.
    Unread,
}

impl ClusterPolicy {
    /// Its reference.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef { kind: self.kind, key: self.meta.key() }
    }
}

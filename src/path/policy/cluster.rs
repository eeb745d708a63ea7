//! What policies of the whole cluster say about one connection.
//!
//! Network Policy API, `policy.networking.k8s.io`: the first rule that matches decides, by priority and then in order. The admin tier comes
//! before NetworkPolicies; the baseline counts where none of these selects the pod. Policies of the same priority may be asked in any order.

use std::sync::Arc;

use super::{Direction, Peer, admits_port, is_peer, matches_namespace};
use crate::fact::Fact;
use crate::snapshot::Snapshot;
use crate::snapshot::objects::{Action, ClusterPeer, ClusterPolicy, ClusterRule, Pod, Tier, Transport};

/// A connection, seen from the pod whose policies are asked.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// Whether it comes to the pod or goes from it.
    pub direction: Direction,
    /// The pod.
    pub pod: &'a Pod,
    /// The other end.
    pub peer: Peer<'a>,
    /// The pod at the other end, for ports by name.
    pub peer_pod: Option<&'a Pod>,
    /// The transport.
    pub transport: Transport,
    /// The destination's port, after address translation.
    pub port: u16,
}

/// What the policies of a tier say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing, or that the next tier decides.
    Nothing,
    /// This one admits the connection.
    Allowed(Arc<ClusterPolicy>),
    /// This one denies it.
    Denied(Arc<ClusterPolicy>),
}

impl ClusterPolicy {
    /// Its rules for a direction.
    pub fn rules(&self, direction: Direction) -> &[ClusterRule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// What a tier says about a connection. Not known where policies, or what they go by, are not, or where two of the same priority differ.
pub fn ask(snapshot: &Snapshot, tier: Tier, connection: &Connection<'_>) -> Fact<Said> {
    snapshot.cluster_policies().and_then(|policies| {
        let of_tier: Vec<_> = policies.into_iter().filter(|p| p.tier == tier).collect();
        for equals in of_tier.chunk_by(|a, b| a.priority == b.priority) {
            match first_of_equals(snapshot, equals, connection) {
                Fact::Known(None) => {}
                Fact::Known(Some((Action::Pass, _))) => return Fact::Known(Said::Nothing),
                Fact::Known(Some((Action::Allow, policy))) => return Fact::Known(Said::Allowed(policy)),
                Fact::Known(Some((Action::Deny, policy))) => return Fact::Known(Said::Denied(policy)),
                unknown => return unknown.and_then(|_| Fact::Absent),
            }
        }
        Fact::Known(Said::Nothing)
    })
}

/// The policy that denies a connection, where one does and nothing stands before it. Whether NetworkPolicies select the pod is for the caller
/// to say: then the baseline is not asked.
pub fn denied(snapshot: &Snapshot, connection: &Connection<'_>, selected: bool) -> Fact<Option<Arc<ClusterPolicy>>> {
    let by = |said| match said {
        Said::Denied(policy) => Some(policy),
        Said::Nothing | Said::Allowed(_) => None,
    };
    match ask(snapshot, Tier::Admin, connection) {
        Fact::Known(Said::Nothing) if !selected => ask(snapshot, Tier::Baseline, connection).map(by),
        said => said.map(by),
    }
}

/// Whether any policy has a rule that denies something to a pod in a direction: what fails there may be meant to.
pub fn may_deny(snapshot: &Snapshot, direction: Direction, pod: &Pod) -> Fact<bool> {
    snapshot.cluster_policies().and_then(|policies| {
        let denying = policies.iter().filter(|p| p.rules(direction).iter().any(|rule| rule.action == Action::Deny));
        any(denying.map(|policy| is_about(snapshot, policy, pod)))
    })
}

/// What the policies of one priority say in agreement; none where no rule of theirs matches.
fn first_of_equals(
    snapshot: &Snapshot,
    equals: &[Arc<ClusterPolicy>],
    connection: &Connection<'_>,
) -> Fact<Option<(Action, Arc<ClusterPolicy>)>> {
    let mut said: Option<(Action, Arc<ClusterPolicy>)> = None;
    for policy in equals {
        let action = match first_rule(snapshot, policy, connection) {
            Fact::Known(Some(action)) => action,
            Fact::Known(None) => continue,
            unknown => return unknown.and_then(|_| Fact::Absent),
        };
        match &said {
            Some((other, first)) if *other != action => {
                return Fact::Failed(format!("{} and {} have the same priority and differ", first.reference(), policy.reference()));
            }
            Some(_) => {}
            None => said = Some((action, policy.clone())),
        }
    }
    Fact::Known(said)
}

/// What the first rule of a policy does that matches; none where none does.
fn first_rule(snapshot: &Snapshot, policy: &ClusterPolicy, connection: &Connection<'_>) -> Fact<Option<Action>> {
    let rules = policy.rules(connection.direction);
    if rules.is_empty() || connection.pod.host_network {
        return Fact::Known(None);
    }
    is_about(snapshot, policy, connection.pod).and_then(|about| {
        for rule in rules.iter().filter(|_| about) {
            match matches(snapshot, policy, rule, connection) {
                Fact::Known(true) => return Fact::Known(Some(rule.action)),
                Fact::Known(false) => {}
                unknown => return unknown.and_then(|_| Fact::Absent),
            }
        }
        Fact::Known(None)
    })
}

fn is_about(snapshot: &Snapshot, policy: &ClusterPolicy, pod: &Pod) -> Fact<bool> {
    let Some(subject) = &policy.subject else {
        return Fact::Failed(format!("the pods that {} is about could not be read", policy.reference()));
    };
    if pod.host_network || !subject.pods.matches(&pod.meta.labels) {
        return Fact::Known(false);
    }
    matches_namespace(snapshot, &subject.namespaces, &pod.meta.namespace)
}

fn matches(snapshot: &Snapshot, policy: &ClusterPolicy, rule: &ClusterRule, connection: &Connection<'_>) -> Fact<bool> {
    let destination = match connection.direction {
        Direction::Ingress => Some(connection.pod),
        Direction::Egress => connection.peer_pod,
    };
    if !rule.ports.is_empty() && !rule.ports.iter().any(|p| admits_port(p, connection.transport, destination, connection.port)) {
        return Fact::Known(false);
    }
    any(rule.peers.iter().map(|peer| match peer {
        ClusterPeer::Among(peer) => is_peer(snapshot, peer, "", &connection.peer),
        // A pod with an address of its own is no node.
        ClusterPeer::Nodes if connection.peer.labels.is_some() && !connection.peer.host_network => Fact::Known(false),
        ClusterPeer::Nodes | ClusterPeer::Unread => Fact::Failed(format!("a rule of {} is not understood in full", policy.reference())),
    }))
}

/// Whether one of these holds; not known where none is known to, and one is not known.
fn any(facts: impl Iterator<Item = Fact<bool>>) -> Fact<bool> {
    let mut answer = Fact::Known(false);
    for fact in facts {
        match fact {
            Fact::Known(true) => return Fact::Known(true),
            Fact::Known(false) => {}
            unknown => answer = unknown,
        }
    }
    answer
}

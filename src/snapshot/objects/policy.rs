//! NetworkPolicies and label selectors.

use super::{Labels, Meta, PortRef, Transport};

/// A label selector with both of its forms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// matchLabels
    pub labels: Labels,
    /// matchExpressions
    pub expressions: Vec<Requirement>,
}

/// One entry of matchExpressions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// Operator.
    pub operator: Operator,
    /// Values.
    pub values: Vec<String>,
}

/// Operator of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
pub enum Operator {
    /// The value is one of these.
    In,
    /// The value is none of these, or the key is absent.
    NotIn,
    /// The key is there.
    Exists,
    /// The key is not there.
    DoesNotExist,
}

impl Selector {
    /// Whether labels satisfy every part of the selector; an empty selector matches everything.
    pub fn matches(&self, labels: &Labels) -> bool {
        is_subset(&self.labels, labels)
            && self.expressions.iter().all(|r| {
                let value = labels.get(&r.key);
                match r.operator {
                    Operator::In => value.is_some_and(|v| r.values.iter().any(|w| v == w)),
                    Operator::NotIn => value.is_none_or(|v| r.values.iter().all(|w| v != w)),
                    Operator::Exists => value.is_some(),
                    Operator::DoesNotExist => value.is_none(),
                }
            })
    }
}

/// Whether every label of `wanted` is in `labels` with the same value.
pub fn is_subset(wanted: &Labels, labels: &Labels) -> bool {
    wanted.is_subset_of(labels)
}

/// networking.k8s.io/v1 NetworkPolicy
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Metadata.
    pub meta: Meta,
    /// spec.podSelector
    pub pods: Selector,
    /// Rules for incoming traffic; none where policyTypes has no Ingress.
    pub ingress: Option<Vec<PolicyRule>>,
    /// Rules for outgoing traffic; none where policyTypes has no Egress.
    pub egress: Option<Vec<PolicyRule>>,
}

/// One rule of a policy: any of the peers, on any of the ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRule {
    /// Peers; empty means everybody.
    pub peers: Vec<PolicyPeer>,
    /// Ports; empty means every port.
    pub ports: Vec<PolicyPort>,
}

/// A peer of a policy rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyPeer {
    /// Pods of namespaces.
    Pods {
        /// Namespaces; none means the policy's own.
        namespaces: Option<Selector>,
        /// Pods; none means all pods of those namespaces.
        pods: Option<Selector>,
    },
    /// An address block.
    Block {
        /// The block.
        cidr: ipnet::IpNet,
        /// Blocks taken out of it.
        except: Vec<ipnet::IpNet>,
    },
}

/// A port of a policy rule, after address translation: the pod's port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyPort {
    /// Port; none means all ports of the transport.
    pub port: Option<PortRef>,
    /// End of a range that begins with `port`.
    pub end_port: Option<u16>,
    /// Transport.
    pub transport: Transport,
}

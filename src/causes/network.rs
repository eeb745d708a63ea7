//! Causes in DNS, policies and what carries packets.

pub(super) mod cluster_policies;
pub(super) mod names;
pub(super) mod policies;
pub(super) mod translation;

use std::sync::Arc;

use super::Case;
use crate::path::Endpoint;
use crate::probe::Observation;
use crate::snapshot::objects::{ConditionStatus, Node, Pod};

super::group![
    cni_agent_node_broken,
    cni_cross_node_broken,
    conntrack_full,
    coredns_down,
    coredns_loop,
    coredns_upstream_broken,
    dns_5s_delay,
    dns_nxdomain_typo,
    dns_search_wildcard,
    duplicate_ip,
    hairpin_broken,
    kube_proxy_down,
    kube_proxy_rules_stale,
    mtu_black_hole,
    netpol_dns_egress_blocked,
    netpol_egress_deny_gateway,
    netpol_hostnetwork_gateway,
    netpol_ingress_deny,
    netpol_port_is_service_port,
    node_firewall_blocks,
];

/// The node that an endpoint is on: as its slice says, else as its pod does.
pub(super) fn node_of(endpoint: &Endpoint) -> Option<&str> {
    endpoint.node.as_deref().or_else(|| endpoint.pod.known().and_then(|p| p.node.as_deref()))
}

/// The pod of the gateway that a probe was sent from inside; none where it was sent from elsewhere.
pub(super) fn gateway_pod<'a>(case: &Case<'a>, seen: &Observation) -> Option<&'a Arc<Pod>> {
    let gateway = case.path.gateway.known()?;
    gateway.pods.iter().find(|pod| seen.vantage == format!("pod {}", pod.meta.key()))
}

/// Whether a node is not ready. One that never said anything is not known to be.
pub(super) fn is_down(node: &Node) -> bool {
    node.conditions.iter().any(|c| c.condition_type == "Ready" && c.status != ConditionStatus::True)
}

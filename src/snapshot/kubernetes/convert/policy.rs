//! NetworkPolicies.

use k8s_openapi::api::networking::v1 as networking;

use super::{Convert, meta, port_number, port_ref, transport, wire};
use crate::snapshot::objects::{NetworkPolicy, Object, PolicyPeer, PolicyPort, PolicyRule, Selector};

impl Convert for wire::NetworkPolicy {
    fn convert(self) -> Object {
        let spec = self.spec.unwrap_or_default();
        // policyTypes defaults to Ingress, and to Egress as well where egress rules are there (API reference, NetworkPolicySpec).
        let types = spec.policy_types.filter(|t| !t.is_empty());
        let applies = |direction: &str, default: bool| types.as_ref().map_or(default, |t| t.iter().any(|t| t == direction));
        let ingress_applies = applies("Ingress", true);
        let egress_applies = applies("Egress", spec.egress.is_some());
        let ingress = spec.ingress.unwrap_or_default().into_iter().map(|r| rule(r.from, r.ports)).collect();
        let egress = spec.egress.unwrap_or_default().into_iter().map(|r| rule(r.to, r.ports)).collect();
        Object::NetworkPolicy(NetworkPolicy {
            meta: meta(self.metadata),
            pods: spec.pod_selector.map(Selector::from).unwrap_or_default(),
            ingress: ingress_applies.then_some(ingress),
            egress: egress_applies.then_some(egress),
        })
    }
}

fn rule(peers: Option<Vec<networking::NetworkPolicyPeer>>, ports: Option<Vec<networking::NetworkPolicyPort>>) -> PolicyRule {
    PolicyRule {
        peers: peers.unwrap_or_default().into_iter().filter_map(peer).collect(),
        ports: ports.unwrap_or_default().into_iter().map(port).collect(),
    }
}

fn peer(peer: networking::NetworkPolicyPeer) -> Option<PolicyPeer> {
    if let Some(block) = peer.ip_block {
        let except = block.except.unwrap_or_default().iter().filter_map(|c| c.parse().ok()).collect();
        return Some(PolicyPeer::Block { cidr: block.cidr.parse().ok()?, except });
    }
    Some(PolicyPeer::Pods { namespaces: peer.namespace_selector.map(Selector::from), pods: peer.pod_selector.map(Selector::from) })
}

fn port(port: networking::NetworkPolicyPort) -> PolicyPort {
    PolicyPort {
        port: port.port.and_then(port_ref),
        end_port: port.end_port.and_then(port_number),
        transport: transport(port.protocol.as_deref()),
    }
}

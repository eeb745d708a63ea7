//! Policies of the whole cluster. A rule that is not understood in full is kept as one that may match anything.

use super::{Convert, meta, port_number, transport, wire};
use crate::snapshot::objects::{
    Action, ClusterPeer, ClusterPolicy, ClusterRule, Kind, Object, PolicyPeer, PolicyPort, PortRef, Selector, Subject, Tier, Transport,
};

impl Convert for wire::AdminNetworkPolicy {
    fn convert(self) -> Object {
        let tier = Some(Tier::Admin);
        Object::ClusterPolicy(policy(Kind::AdminNetworkPolicy, meta(self.metadata), tier, self.spec.unwrap_or_default()))
    }
}

impl Convert for wire::BaselineAdminNetworkPolicy {
    fn convert(self) -> Object {
        let tier = Some(Tier::Baseline);
        Object::ClusterPolicy(policy(Kind::BaselineAdminNetworkPolicy, meta(self.metadata), tier, self.spec.unwrap_or_default()))
    }
}

impl Convert for wire::ClusterNetworkPolicy {
    fn convert(self) -> Object {
        let spec = self.spec.unwrap_or_default();
        let tier = match spec.tier.as_deref() {
            Some("Admin") => Some(Tier::Admin),
            Some("Baseline") => Some(Tier::Baseline),
            _ => None,
        };
        Object::ClusterPolicy(policy(Kind::ClusterNetworkPolicy, meta(self.metadata), tier, spec))
    }
}

fn policy(kind: Kind, meta: crate::snapshot::objects::Meta, tier: Option<Tier>, spec: wire::ClusterPolicySpec) -> ClusterPolicy {
    let rules = |rules: Option<Vec<wire::ClusterRule>>| rules.unwrap_or_default().into_iter().map(rule).collect();
    ClusterPolicy {
        kind,
        meta,
        // One of a tier that nobody knows is about pods that are not known.
        subject: spec.subject.filter(|_| tier.is_some()).and_then(subject),
        tier: tier.unwrap_or(Tier::Admin),
        priority: spec.priority.unwrap_or_default(),
        ingress: rules(spec.ingress),
        egress: rules(spec.egress),
    }
}

fn subject(subject: wire::PolicySubject) -> Option<Subject> {
    match (subject.namespaces, subject.pods) {
        (Some(namespaces), None) => Some(Subject { namespaces: namespaces.into(), pods: Selector::default() }),
        (None, Some(pods)) => Some(both(pods)),
        _ => None,
    }
}

fn both(pods: wire::NamespacedPods) -> Subject {
    let of = |selector: Option<_>| selector.map(Selector::from).unwrap_or_default();
    Subject { namespaces: of(pods.namespace_selector), pods: of(pods.pod_selector) }
}

fn rule(rule: wire::ClusterRule) -> ClusterRule {
    understood(rule).unwrap_or_else(|| ClusterRule { action: Action::Deny, peers: vec![ClusterPeer::Unread], ports: Vec::new() })
}

fn understood(rule: wire::ClusterRule) -> Option<ClusterRule> {
    let action = match rule.action.as_deref()? {
        "Allow" | "Accept" => Action::Allow,
        "Deny" => Action::Deny,
        "Pass" => Action::Pass,
        _ => return None,
    };
    let by_number = rule.ports.unwrap_or_default().into_iter().map(port);
    let by_protocol = rule.protocols.unwrap_or_default().into_iter().map(protocol);
    let ports: Option<Vec<Vec<PolicyPort>>> = by_number.chain(by_protocol).collect();
    let peers = rule.from.into_iter().chain(rule.to).flatten().flat_map(peer).collect();
    Some(ClusterRule { action, peers, ports: ports?.concat() })
}

fn peer(peer: wire::ClusterPeer) -> Vec<ClusterPeer> {
    let pods = |subject: Subject| PolicyPeer::Pods { namespaces: Some(subject.namespaces), pods: Some(subject.pods) };
    let block =
        |cidr: &String| cidr.parse().map_or(ClusterPeer::Unread, |cidr| ClusterPeer::Among(PolicyPeer::Block { cidr, except: Vec::new() }));
    match (peer.namespaces, peer.pods, peer.nodes, peer.networks) {
        (Some(namespaces), None, None, None) => {
            vec![ClusterPeer::Among(pods(Subject { namespaces: namespaces.into(), pods: Selector::default() }))]
        }
        (None, Some(selected), None, None) => vec![ClusterPeer::Among(pods(both(selected)))],
        (None, None, Some(_), None) => vec![ClusterPeer::Nodes],
        (None, None, None, Some(networks)) => networks.iter().map(block).collect(),
        _ => vec![ClusterPeer::Unread],
    }
}

fn port(port: wire::ClusterPort) -> Option<Vec<PolicyPort>> {
    match (port.port_number, port.named_port, port.port_range) {
        (Some(number), None, None) => numbered(number.port, None, transport(number.protocol.as_deref())),
        (None, Some(name), None) => Some(named(&name)),
        (None, None, Some(range)) => numbered(range.start, range.end, transport(range.protocol.as_deref())),
        _ => None,
    }
}

fn protocol(protocol: wire::Protocol) -> Option<Vec<PolicyPort>> {
    let of = |asked: wire::OfProtocol, transport| match asked.destination_port {
        None => Some(vec![PolicyPort { transport, ..PolicyPort::default() }]),
        Some(wire::DestinationPort { number, range: None }) => numbered(number, None, transport),
        Some(wire::DestinationPort { number: None, range: Some(range) }) => numbered(range.start, range.end, transport),
        Some(_) => None,
    };
    match (protocol.tcp, protocol.udp, protocol.sctp, protocol.destination_named_port) {
        (Some(asked), None, None, None) => of(asked, Transport::Tcp),
        (None, Some(asked), None, None) => of(asked, Transport::Udp),
        (None, None, Some(asked), None) => of(asked, Transport::Sctp),
        (None, None, None, Some(name)) => Some(named(&name)),
        _ => None,
    }
}

fn numbered(first: Option<i32>, last: Option<i32>, transport: Transport) -> Option<Vec<PolicyPort>> {
    let end_port = last.map(|last| port_number(last).ok_or(())).transpose().ok()?;
    Some(vec![PolicyPort { port: Some(PortRef::Number(port_number(first?)?)), end_port, transport }])
}

/// A name stands for the port of whatever transport the pod gives it to.
fn named(name: &str) -> Vec<PolicyPort> {
    let of = |transport| PolicyPort { port: Some(PortRef::Name(name.to_owned())), end_port: None, transport };
    vec![of(Transport::Tcp), of(Transport::Udp), of(Transport::Sctp)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed<K: Convert + serde::de::DeserializeOwned>(yaml: &str) -> ClusterPolicy {
        let object: K = serde_yaml::from_str(yaml).unwrap();
        let Object::ClusterPolicy(policy) = object.convert() else { panic!("another kind") };
        policy
    }

    #[test]
    fn both_versions_give_the_same_rule() {
        let old = parsed::<wire::AdminNetworkPolicy>(
            "{metadata: {name: a}, spec: {priority: 7, subject: {namespaces: {}}, ingress: [{action: Allow, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 80}}, {portRange: {start: 8000, end: 8100}}]}]}}",
        );
        let new = parsed::<wire::ClusterNetworkPolicy>(
            "{metadata: {name: a}, spec: {tier: Admin, priority: 7, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}, {tcp: {destinationPort: {range: {start: 8000, end: 8100}}}}]}]}}",
        );
        assert_eq!((old.tier, old.priority, &old.subject), (new.tier, new.priority, &new.subject));
        assert_eq!(old.ingress, new.ingress);
        assert_eq!(old.ingress[0].ports[1].end_port, Some(8100));
    }

    #[test]
    fn what_is_not_understood_may_match_anything() {
        let unread = |rule: &str| {
            let policy = parsed::<wire::ClusterNetworkPolicy>(&format!(
                "{{metadata: {{name: a}}, spec: {{tier: Baseline, priority: 0, subject: {{namespaces: {{}}}}, egress: [{rule}]}}}}"
            ));
            policy.egress[0].peers.contains(&ClusterPeer::Unread)
        };
        assert!(unread("{action: Accept, to: [{domainNames: [a.test]}]}"));
        assert!(unread("{action: Log, to: [{namespaces: {}}]}"));
        assert!(unread("{action: Deny, to: [{namespaces: {}}], protocols: [{quic: {}}]}"));
        assert!(unread("{action: Deny, to: [{networks: [10.0.0.0/33]}]}"));
        assert!(unread("{action: Deny, to: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 0}}}]}"));
        assert!(!unread("{action: Deny, to: [{networks: [10.0.0.0/8]}], protocols: [{tcp: {destinationPort: {number: 80}}}]}"));
        let policy = parsed::<wire::ClusterNetworkPolicy>("{metadata: {name: a}, spec: {tier: Top, subject: {namespaces: {}}}}");
        assert_eq!(policy.subject, None);
    }
}

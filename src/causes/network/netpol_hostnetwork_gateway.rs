use super::policies;
use crate::api::{Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::path::policy::{self, Decision, Direction, Peer};
use crate::probe::Signature;
use crate::snapshot::objects::Transport;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "netpol-hostnetwork-gateway",
    summary: "a NetworkPolicy names the gateway's pods, which stand on the host's network, where no pod selector matches",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout, Signature::Refused, Signature::HostUnreach],
    explains: &["netpol-ingress-deny", "netpol-port-is-service-port"],
    since: "0.1.0",
    docs: r"
## What it means
The gateway's pods have `hostNetwork: true`. Their packets come from the node's address, and to a policy they are the node's, not the pod's: `podSelector` and
`namespaceSelector` never match them.

## What you see
A time-out, although the policy names the gateway's labels or namespace. Pods on the gateway's own node often work, since most networks let a node reach its own pods.

## How we know
The policies deny the gateway as it is, and would admit the same pods if they stood on the pod network. With an agent the connection is tried from the network that the gateway's pod
stands on: one that comes about shows that nobody enforces the policies.

## How to fix
Admit the nodes' addresses with an `ipBlock`, or use the network's own policy for host traffic; or take the gateway off the host's network.

## Looks like
`netpol-ingress-deny`: no rule names the gateway at all.

## Limits
Networks that tunnel between nodes show an address of the tunnel, so that an `ipBlock` of node addresses may not be enough. A gateway on the endpoint's own node is not judged.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    if !case.gateway()?.is_some_and(|g| g.pods.iter().any(|p| p.host_network)) {
        return Ok(None);
    }
    for denied in policies::denied(case, Direction::Ingress)? {
        let (gateway, port) = (denied.gateway, denied.port);
        let Some(pod) = denied.view.endpoint.pod.known() else { continue };
        if !gateway.host_network {
            continue;
        }
        let admits = |p: &_| policy::admits_port(p, Transport::Tcp, Some(pod), port);
        let on_pod_network = Peer { host_network: false, ..Peer::of(gateway) };
        if denied.decide(case, on_pod_network, &admits) != Some(Decision::Admitted) {
            continue;
        }
        let names = policies::listed(&denied.names());
        let Some(policy) = denied.policies.first() else { continue };
        let says = format!("{} has hostNetwork: true, so no pod selector of {names} matches it", gateway.reference());
        let blocks: Vec<_> = gateway.ips.iter().map(|ip| serde_json::json!({"ipBlock": {"cidr": ipnet::IpNet::from(*ip)}})).collect();
        let rule = serde_json::json!([{"op": "add", "path": "/spec/ingress/-", "value": {"from": blocks, "ports": [{"port": port}]}}]);
        let message = format!(
            "{names} means to admit the gateway {}, which stands on the host's network: to the policy it is its node, which nothing admits.",
            gateway.reference()
        );
        let mut finding = CAUSE
            .finding(denied.confidence(case), message)
            .saw(denied.view.seen)
            .states(says.clone())
            .proof(case.failing_line(), says)
            .fix("Admit the addresses of the gateway's nodes with an ipBlock.")
            .command(format!("kubectl -n {} patch networkpolicy {} --type=json -p '{rule}'", policy.meta.namespace, policy.meta.name));
        for policy in denied.names() {
            finding = finding.object(&policy, "spec.ingress");
        }
        return Ok(finding.object(&gateway.reference(), "spec.hostNetwork").into());
    }
    Ok(None)
}

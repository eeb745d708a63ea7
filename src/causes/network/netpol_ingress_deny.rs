use crate::api::{Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::path::policy::Direction;
use crate::probe::Signature;
use std::collections::BTreeSet;

use super::{cluster_policies, policies};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "netpol-ingress-deny",
    summary: "a NetworkPolicy on the backend does not admit the gateway",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout, Signature::Refused, Signature::HostUnreach],
    explains: &["node-firewall-blocks", "app-binds-loopback", "app-wrong-port", "svc-targetport-wrong"],
    since: "0.1.0",
    docs: r"
## What it means
Policies select the backend's pods for incoming traffic, and none of their rules admits the gateway on the pods' port; or a policy of the whole cluster (AdminNetworkPolicy,
BaselineAdminNetworkPolicy, ClusterNetworkPolicy) denies it.

## What you see
A time-out: 504 on nginx, 503 on HAProxy and Envoy, nothing within the client's time on Traefik. Some enforcers refuse instead.

## How we know
The policies are evaluated for the gateway's pods and the endpoint's port, and a connection to the endpoint fails, or it answers here and the gateway alone gets no answer.
Rules are read after address translation: the pod's port counts.

## How to fix
Admit the gateway's namespace on the pod's port.

## Looks like
`node-firewall-blocks` and `cni-cross-node-broken` look the same on the wire; there no policy denies the pair. `netpol-port-is-service-port` and
`netpol-hostnetwork-gateway` are this, where the policy means to admit the gateway. `netpol-egress-deny-gateway` is the same at the gateway's end.

## Limits
With an agent the connection is tried from inside the gateway's own pod: one that comes about there shows that nobody enforces the policies, and nothing is said. Without one it is
tried from where Culprit stands, which a policy may treat differently from the gateway; the gateway's own failure counts with it. A refusal is what a
closed port gives as well: it is Likely, unless an agent sees that somebody listens there. An `ipBlock` is taken to hold pods, too, which not all networks do.
Of policies of the whole cluster it is not known whether the pod network enforces them, so they are Likely; where one admits what a NetworkPolicy denies, so is this. Policies of a
single network's own kinds are not read.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let denied = policies::denied(case, Direction::Ingress)?;
    let Some(first) = denied.first() else { return Ok(None) };
    if let Some(by) = &first.by {
        return Ok(cluster_policies::finding(case, &CAUSE, first, by, Direction::Ingress).into());
    }
    let denying: BTreeSet<_> = denied.iter().flat_map(policies::Denied::names).collect();
    let Some(policy) = denying.first() else { return Ok(None) };
    let (names, peer, port) = (policies::listed(&denying), first.gateway, first.port);
    let message = format!(
        "{names} selects the pods of Service {} and does not admit the gateway {} on port {port}.",
        case.service_name(),
        peer.reference()
    );
    let rule = serde_json::json!([{"op": "add", "path": "/spec/ingress/-", "value": {
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": peer.meta.namespace}}}],
        "ports": [{"port": port}]
    }}]);
    let mut finding = CAUSE
        .finding(first.confidence(case), message)
        .saw(first.view.seen)
        .states(format!("{names}: no rule admits {} on port {port}", peer.reference()))
        .proof(case.failing_line(), format!("{names} has no rule that admits {} on port {port}", peer.reference()))
        .fix("Admit the gateway's namespace on the pods' port.")
        .command(format!("kubectl -n {} patch networkpolicy {} --type=json -p '{rule}'", policy.key.namespace, policy.key.name));
    finding = cluster_policies::contested(finding, first);
    for policy in &denying {
        finding = finding.object(policy, "spec.ingress");
    }
    Ok(finding.into())
}

use std::collections::BTreeSet;

use super::{cluster_policies, policies};
use crate::api::{Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::path::policy::Direction;
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "netpol-egress-deny-gateway",
    summary: "a NetworkPolicy on the gateway does not let it out to the backend",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout],
    explains: &["node-firewall-blocks"],
    since: "0.1.0",
    docs: r"
## What it means
Policies in the gateway's namespace select the gateway's pods for outgoing traffic, and none of their rules leads to the backend's pods on their port;
or a policy of the whole cluster (AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy) denies it. A ConnectivityCheck says the same of whatever pod it asks from.

## What you see
A time-out, for every backend that the rules do not list: 504 on nginx, 503 on HAProxy and Envoy, nothing within the client's time on Traefik. Other callers reach the same pods.

## How we know
The policies are evaluated from the gateway's pods to the endpoint's pod and port. With an agent, a connection from inside the gateway's own pod gets no answer, or is rejected at once;
one that comes about shows that nobody enforces the policies. Without one, the endpoint answers the gateway's own request from where Culprit stands, where these policies
do not apply, and the gateway gets no answer.

## How to fix
Add an egress rule for the backend's namespace and the pods' port.

## Looks like
`netpol-ingress-deny` is the same at the backend's end, and may hold as well: both ends have to admit. `netpol-dns-egress-blocked` keeps the gateway from names.

## Limits
Without an agent, where the endpoint cannot be reached from here either, or the gateway fails at once, the finding is Likely. So it is
for policies of the whole cluster, which not every pod network enforces. Policies of a single network's own kinds are not read.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let denied = policies::denied(case, Direction::Egress)?;
    let Some(first) = denied.first() else { return Ok(None) };
    if let Some(by) = &first.by {
        return Ok(cluster_policies::finding(case, &CAUSE, first, by, Direction::Egress).into());
    }
    let denying: BTreeSet<_> = denied.iter().flat_map(policies::Denied::names).collect();
    let Some(policy) = denying.first() else { return Ok(None) };
    let (names, pod, port) = (policies::listed(&denying), first.gateway, first.port);
    let (service, namespace) = (case.service_name(), case.namespace());
    let message =
        format!("{names} selects the gateway {} and does not let it out to the pods of Service {service} on port {port}.", pod.reference());
    let says = format!("{names}: no egress rule leads to {}:{port}", first.view.endpoint.address);
    let rule = serde_json::json!([{"op": "add", "path": "/spec/egress/-", "value": {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}],
        "ports": [{"port": port}]
    }}]);
    let passing = if first.view.seen.response().is_some() { first.view.seen.to_string() } else { says.clone() };
    let mut finding = CAUSE
        .finding(first.confidence(case), message)
        .saw(first.view.seen)
        .states(says)
        .proof(case.failing_line(), passing)
        .fix("Let the gateway out to the backend's namespace on the pods' port.")
        .command(format!("kubectl -n {} patch networkpolicy {} --type=json -p '{rule}'", policy.key.namespace, policy.key.name));
    finding = cluster_policies::contested(finding, first);
    for policy in &denying {
        finding = finding.object(policy, "spec.egress");
    }
    Ok(finding.into())
}

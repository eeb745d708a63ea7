use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, When};
use crate::probe::Signature;
use std::collections::BTreeSet;

use crate::causes::{EndpointView, Missing};
use crate::fact::Fact;
use crate::path::policy::{self, Decision, Peer};
use crate::snapshot::objects::{Kind, ObjectRef};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "netpol-ingress-deny",
    summary: "a NetworkPolicy on the backend does not admit the gateway",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    signatures: &[Signature::ConnTimeout, Signature::Refused, Signature::HostUnreach],
    explains: &["node-firewall-blocks", "app-binds-loopback", "app-wrong-port", "svc-targetport-wrong"],
    since: "0.1.0",
    docs: r"
## What it means
Policies select the backend's pods for incoming traffic, and none of their rules admits the gateway on the pods' port.

## What you see
A time-out: 504 on nginx, 503 on HAProxy and Envoy, nothing within the client's time on Traefik. Some enforcers refuse instead.

## How we know
The policies are evaluated for the gateway's pods and the endpoint's port, and a connection to the endpoint fails. Rules are read after address translation: the pod's port counts.

## How to fix
Admit the gateway's namespace on the pod's port.

## Looks like
`node-firewall-blocks` and `cni-cross-node-broken` look the same on the wire; there no policy denies the pair.

## Limits
The connection was tried from where Culprit stands, which a policy may treat differently from the gateway; the gateway's own failure counts with it. Policies beyond `networking.k8s.io` are not read.
",
    check,
};

const BLOCKED: &[Signature] = &[Signature::ConnTimeout, Signature::Refused, Signature::HostUnreach, Signature::NetUnreach];

fn check(case: &Case<'_>) -> Judgement {
    let views = case.walked_with(BLOCKED)?;
    if views.is_empty() {
        return Ok(None);
    }
    let Some(gateway) = case.gateway()? else { return Ok(None) };
    let mut denying = BTreeSet::new();
    let mut denied = Vec::new();
    for view in &views {
        for pod in &gateway.pods {
            match decide(case, view, &Peer::of(pod))? {
                Some(Decision::Denied(policies)) => {
                    denying.extend(policies.iter().map(|p| ObjectRef { kind: Kind::NetworkPolicy, key: p.meta.key() }));
                    denied.push(view);
                }
                Some(Decision::Admitted | Decision::NotSelected) | None => {}
            }
        }
    }
    let (Some(first), Some(policy), Some(peer)) = (denied.first(), denying.first(), gateway.pods.first()) else { return Ok(None) };
    // A refusal is what a closed port gives as well; only silence is what enforcers usually do.
    let confidence = if first.seen.signature() == Some(Signature::ConnTimeout) { Confidence::Proven } else { Confidence::Likely };
    let names = denying.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let port = first.endpoint.port.unwrap_or_default();
    let message = format!("{names} selects the pods of Service {} and does not admit the gateway {} on port {port}.", case.service_name(), peer.reference());
    let rule = serde_json::json!([{"op": "add", "path": "/spec/ingress/-", "value": {
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": peer.meta.namespace}}}],
        "ports": [{"port": port}]
    }}]);
    let mut finding = CAUSE
        .finding(confidence, message)
        .saw(first.seen)
        .states(format!("{names}: no rule admits {} on port {port}", peer.reference()))
        .proof(case.failing_line(), format!("{names} has no rule that admits {} on port {port}", peer.reference()))
        .fix("Admit the gateway's namespace on the pods' port.")
        .command(format!("kubectl -n {} patch networkpolicy {} --type=json -p '{rule}'", policy.key.namespace, policy.key.name));
    for policy in &denying {
        finding = finding.object(policy, "spec.ingress");
    }
    Ok(finding.into())
}

fn decide(case: &Case<'_>, view: &EndpointView<'_>, peer: &Peer<'_>) -> Result<Option<Decision>, Missing> {
    let (Some(pod), Some(port)) = (view.endpoint.pod.known(), view.endpoint.port) else { return Ok(None) };
    match policy::ingress(case.snapshot, &case.path.backend.policies, pod, port, peer) {
        Fact::Known(decision) => Ok(Some(decision)),
        Fact::Absent => Ok(None),
        Fact::NotAsked => Err(Missing::Fact("NetworkPolicies were not looked up".into())),
        Fact::Failed(why) => Err(Missing::Fact(format!("NetworkPolicies could not be looked up: {why}"))),
    }
}

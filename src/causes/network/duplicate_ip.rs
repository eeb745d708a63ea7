use std::sync::Arc;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When, known};
use crate::probe::Signature;
use crate::snapshot::objects::Pod;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "duplicate-ip",
    summary: "two pods have the same address",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::Refused, Signature::RstEarly, Signature::ConnTimeout, Signature::HostUnreach, Signature::EofEarly],
    explains: &[
        "app-wrong-port",
        "app-binds-loopback",
        "app-closes-connection",
        "eps-manual-stale",
        "netpol-ingress-deny",
        "node-firewall-blocks",
        "no-readiness-slow-start",
        "svc-targetport-wrong",
    ],
    since: "0.1.0",
    docs: r"
## What it means
The network gave one address to two pods. Packets go to one of them, by turns or by who answered last; the other is never reached.

## What you see
Refused or reset connections, time-outs, or the answers of another application, coming and going.

## How we know
Two pods that run and are not being deleted have the address of an endpoint in their status, and requests to it fail.

## How to fix
Delete one of the pods, so that it gets another address; then mend the network's record of addresses.

## Looks like
A pod that is being deleted keeps its address in its status for a moment, and one on a node that is down for longer; such pods do not count. `svc-selector-too-wide` sends to a stranger at an address of his own.

## Limits
An address that a machine outside of the cluster has taken shows in no object.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let mut views = case.walked()?;
    views.retain(|v| v.seen.signature().is_some());
    let mut found = None;
    for view in views {
        let pods = case.snapshot.pods_at(view.endpoint.address);
        let pods = known(&pods, "the pods at the endpoints' addresses")?.cloned().unwrap_or_default();
        let mut live: Vec<Arc<Pod>> = Vec::new();
        for pod in pods.iter().filter(|_| pods.len() > 1) {
            if is_live(case, pod)? {
                live.push(pod.clone());
            }
        }
        if live.len() > 1 && found.is_none() {
            found = Some((view, live));
        }
    }
    let Some((view, pods)) = found else { return Ok(None) };
    let ip = view.endpoint.address;
    let names = pods.iter().map(|p| p.reference().to_string()).collect::<Vec<_>>().join(" and ");
    // An error status is an answer of one of both, and may be his own.
    let confidence = if view.seen.response().is_some() { Confidence::Likely } else { Confidence::Proven };
    let message =
        format!("{names} both have the address {ip}, to which Service {} sends: {}.", case.service_name(), view.seen.outcome_text());
    let mut finding = CAUSE.finding(confidence, message).saw(view.seen);
    for pod in &pods {
        let node = pod.node.as_deref().unwrap_or("no node");
        finding = finding.object(&pod.reference(), "status.podIP").states(format!("{} on {node} has the address {ip}", pod.reference()));
    }
    let other = pods.iter().find(|p| view.endpoint.pod.known().is_none_or(|own| own.meta.name != p.meta.name)).unwrap_or(&pods[0]);
    Ok(finding
        .proof(view.seen.to_string(), format!("{names} have the address {ip}"))
        .fix("Delete one of them, and mend the network's record of addresses.")
        .command(format!("kubectl -n {} delete pod {}", other.meta.namespace, other.meta.name))
        .command(format!("kubectl get pods -A -o wide --field-selector status.podIP={ip}"))
        .into())
}

/// Whether a pod still has its address: those that are being deleted show it a moment longer, those of a lost node until they are deleted.
fn is_live(case: &Case<'_>, pod: &Pod) -> Result<bool, Missing> {
    let Some(name) = pod.node.as_deref().filter(|_| !pod.meta.deleting) else { return Ok(!pod.meta.deleting) };
    let node = case.snapshot.node(name);
    Ok(!known(&node, "the node of a pod with the same address")?.is_some_and(|n| super::is_down(n)))
}

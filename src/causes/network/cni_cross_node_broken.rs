use std::collections::BTreeSet;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndpointView, Judgement, When, known};
use crate::probe::Signature;
use crate::snapshot::objects::{Key, Pod};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "cni-cross-node-broken",
    summary: "pods are reached on their own node and not from another",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The pod network carries packets within a node and loses them between nodes: a blocked tunnel (VXLAN 8472 or 4789, Geneve 6081, WireGuard, IP in IP), missing routes, or a cloud that
checks source addresses.

## What you see
Requests fail by turns, by the share of endpoints on other nodes. It looks random and is not: each endpoint always works or never.

## How we know
Every endpoint on the caller's node answers, and no endpoint on any other node can be connected to; no NetworkPolicy selects the pods.

## How to fix
Open the tunnel's port or protocol between all nodes, restart the network's agents, mend the routes.

## Looks like
`node-firewall-blocks`: one node alone is closed. With a single other node both look the same from here, and both are named. `netpol-ingress-deny` drops on the same node too.

## Limits
The caller's node is that of Culprit's own pod, else that of a gateway with one pod. Two other nodes have to fail before it is Likely. Without an endpoint on the caller's node
nothing is compared.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let nodes: BTreeSet<&str> = case.path.backend.ready_endpoints().filter_map(super::node_of).collect();
    if nodes.len() < 2 {
        return Ok(None);
    }
    let views = case.walked()?;
    let Some(here) = callers_node(case, &views) else { return Ok(None) };
    let (same, other): (Vec<&EndpointView<'_>>, Vec<_>) =
        views.iter().filter(|v| super::node_of(v.endpoint).is_some()).partition(|v| super::node_of(v.endpoint) == Some(here));
    let lost = |v: &&EndpointView<'_>| matches!(v.seen.signature(), Some(Signature::ConnTimeout | Signature::HostUnreach));
    let (Some(near), Some(far)) = (same.first(), other.first()) else { return Ok(None) };
    if !other.iter().all(lost) || same.iter().any(|v| v.seen.response().is_none()) {
        return Ok(None);
    }
    let policies = known(&case.path.backend.policies, "NetworkPolicies")?;
    let selects = |pod: &Pod| policies.into_iter().flatten().any(|p| p.ingress.is_some() && p.pods.matches(&pod.meta.labels));
    if other.iter().any(|v| v.endpoint.pod.known().is_some_and(|p| selects(p))) {
        return Ok(None);
    }
    let others: BTreeSet<&str> = other.iter().filter_map(|v| super::node_of(v.endpoint)).collect();
    let confidence = if others.len() > 1 { Confidence::Likely } else { Confidence::Possible };
    let list = others.iter().copied().collect::<Vec<_>>().join(", ");
    let message = format!(
        "The pods of Service {} are reached on node {here} and not from there on {list} ({}).",
        case.service_name(),
        case.share(other.len())
    );
    let mut finding = CAUSE.finding(confidence, message).saw(far.seen).saw(near.seen);
    for pod in [far, near].into_iter().filter_map(|v| v.endpoint.pod.known()) {
        finding = finding.object(&pod.reference(), "");
    }
    Ok(finding
        .states(format!("no NetworkPolicy of namespace {} selects the pods", case.namespace()))
        .proof(far.seen.to_string(), near.seen.to_string())
        .fix("Let the pod network's tunnel or routes pass between all nodes.")
        .command(format!("ip route get {}   # on {here}; then look for that tunnel's port in the firewalls", far.endpoint.address))
        .into())
}

/// The node that the requests come from: that of the pod that asks, else that of the gateway's only pod.
fn callers_node<'a>(case: &Case<'a>, views: &[EndpointView<'a>]) -> Option<&'a str> {
    let asks = views.first()?.seen.vantage.strip_prefix("pod ").and_then(|name| name.split_once('/'));
    let key = asks.map(|(namespace, name)| Key::new(namespace, name));
    let own = key.and_then(|key| case.snapshot.pods_in(&key.namespace).find(|p| *p.meta.name == *key.name));
    let gateway = || match case.path.gateway.known()?.pods.as_slice() {
        [only] => Some(only),
        _ => None,
    };
    own.or_else(gateway)?.node.as_deref()
}

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::endpoints::pods;
use crate::causes::network::{is_down, node_of};
use crate::causes::{Case, Cause, FindingBuilder, Judgement, Missing, Platform, When, known};
use crate::probe::Signature;
use crate::snapshot::objects::{ConditionStatus, Kind, Node, ObjectRef, Pod};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "node-notready",
    summary: "the node that the pods are on is down",
    hop: Hop::Node,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach, Signature::NoEndpoint],
    explains: &[
        "cni-agent-node-broken",
        "cni-cross-node-broken",
        "eps-all-not-ready",
        "eps-manual-stale",
        "listen-backlog-full",
        "node-firewall-blocks",
        "pod-evicted-or-drained",
        "pod-pending-unschedulable",
        "readiness-probe-misconfigured",
        "rollout-unavailable",
    ],
    since: "0.1.0",
    docs: r"
## What it means
The node does not report, or reports that it is not ready: it is off, cut off, or its kubelet or container runtime does not work. Its pods are still listed until Kubernetes takes
them out, and some time later they are made anew elsewhere.

## What you see
Time-outs or `No route to host` for the pods of that node, for about forty seconds; then fewer endpoints, or 503 where the node had them all.

## How we know
Every endpoint that cannot be connected to is on a node whose Ready condition is not True. Where no endpoint is ready, every pod that is not is on such a node, or waits for a node
while none is ready.

## How to fix
Bring the node or its kubelet back. If it is gone for good, delete the Node, so that its pods are made elsewhere at once.

## Looks like
`cni-agent-node-broken` and `node-firewall-blocks`: the node is ready, its pods are not reached. `node-pressure`: the node is ready and short of something.

## Limits
In the first seconds the node still counts as ready. Pods of a node whose kubelet alone is down may serve on, and are taken out all the same.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    const DEAD: &[Signature] = &[Signature::ConnTimeout, Signature::HostUnreach, Signature::NetUnreach];
    if case.has_no_ready_endpoint()? {
        return Ok(without_endpoints(case, &down(case)?)?.map(FindingBuilder::build));
    }
    let dead = case.walked_with(DEAD)?;
    if dead.is_empty() {
        return Ok(None);
    }
    let down = down(case)?;
    let Some((first, node)) = dead.first().and_then(|v| Some((v, down.get(node_of(v.endpoint)?)?))) else { return Ok(None) };
    if !dead.iter().all(|v| node_of(v.endpoint).is_some_and(|n| down.contains_key(n))) {
        return Ok(None);
    }
    let message =
        format!("{} is not ready, and {} of Service {} cannot be reached there.", title(node), case.share(dead.len()), case.service_name());
    let elsewhere = case.walked()?.into_iter().find(|v| v.seen.response().is_some());
    let passing = elsewhere.map_or_else(|| state(node), |v| v.seen.to_string());
    let finding = finding(message, [node].into_iter()).saw(first.seen).proof(first.seen.to_string(), passing);
    Ok(finding.into())
}

/// No endpoint is ready, because of the nodes that the pods are on, or would go to.
fn without_endpoints(case: &Case<'_>, down: &BTreeMap<&str, Arc<Node>>) -> Result<Option<FindingBuilder>, Missing> {
    let pods = pods::not_up(case)?;
    let on: Vec<&Arc<Node>> = pods.iter().filter_map(|p| down.get(p.node.as_deref()?)).collect();
    let nobody = || case.snapshot.nodes().next().is_some() && case.snapshot.nodes().all(|n| is_down(n));
    let waits = |p: &Pod| p.node.is_none() && p.condition("PodScheduled").is_some_and(|c| c.status == ConditionStatus::False);
    let nodes: Vec<Arc<Node>> = match pods.first() {
        None => return Ok(None),
        Some(_) if on.len() == pods.len() => on.into_iter().cloned().collect(),
        Some(_) if pods.iter().all(|p| waits(p)) && nobody() => case.snapshot.nodes().cloned().collect(),
        Some(_) => return Ok(None),
    };
    let Some(first) = nodes.first() else { return Ok(None) };
    let (service, pod) = (case.service_name(), pods[0].reference());
    let message = match pods[0].node {
        Some(_) => format!("Service {service} has no ready endpoint: its pods are on {}, which is not ready.", title(first)),
        None => format!("Service {service} has no ready endpoint: {pod} waits for a node, and no node is ready."),
    };
    let mut by_name: BTreeMap<&str, &Arc<Node>> = BTreeMap::new();
    by_name.extend(nodes.iter().map(|n| (n.meta.name.as_str(), n)));
    let finding = finding(message, by_name.into_values()).object(&pod, "status.conditions");
    Ok(Some(finding.proof(case.failing_line(), state(first))))
}

fn finding<'n>(message: String, nodes: impl Iterator<Item = &'n Arc<Node>>) -> FindingBuilder {
    let mut finding = CAUSE.finding(Confidence::Proven, message);
    for node in nodes.take(3) {
        let name = &node.meta.name;
        let reference = ObjectRef::new(Kind::Node, "", name);
        finding = finding.object(&reference, "status.conditions").states(state(node)).command(format!("kubectl describe node {name}"));
    }
    finding.fix("Bring the node back; delete the Node where it is gone for good, so that its pods are made elsewhere.")
}

/// The nodes of the route's endpoints and pods that are down.
fn down<'a>(case: &Case<'a>) -> Result<BTreeMap<&'a str, Arc<Node>>, Missing> {
    let backend = &case.path.backend;
    let of_pods = backend.pods.known().into_iter().flatten().filter_map(|p| p.node.as_deref());
    let mut found = BTreeMap::new();
    for name in backend.endpoints.iter().filter_map(node_of).chain(of_pods) {
        if let Some(node) = known(&case.snapshot.node(name), "the endpoints' nodes")?.filter(|n| is_down(n)) {
            found.insert(name, node.clone());
        }
    }
    Ok(found)
}

fn title(node: &Node) -> String {
    format!("Node/{}", node.meta.name)
}

fn state(node: &Node) -> String {
    let ready = node.conditions.iter().find(|c| c.condition_type == "Ready");
    let status = ready.map_or_else(|| "not there".into(), |c| c.status.to_string());
    let words = ready.and_then(|c| c.reason.clone()).unwrap_or_else(|| "no reason given".into());
    format!("{} has the condition Ready: {status} ({words})", title(node))
}

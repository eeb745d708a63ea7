use std::collections::{BTreeMap, BTreeSet};

use crate::api::{Confidence, Hop, Severity};
use crate::causes::nodes::{Cell, Link, Matrix};
use crate::causes::{Case, Cause, EndpointView, FindingBuilder, Judgement, Missing, Platform, When, known, line_from};
use crate::probe::Signature;
use crate::snapshot::objects::{ConditionStatus, Kind, ObjectRef, Pod};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "cni-agent-node-broken",
    summary: "the pod network does not work on one node",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach],
    explains: &["node-firewall-blocks", "cni-cross-node-broken"],
    since: "0.1.0",
    docs: r"
## What it means
The agent of the pod network (CNI) on a node is down or has not set the node's network up. Pods there cannot be reached, from other nodes and from their own.

## What you see
Time-outs or `No route to host` for the pods of that node alone: every request to them fails, and a share of all requests does.

## How we know
Where the gateway has pods on several nodes and agents run there: nobody reaches the pods of one node, its own gateway's pod not either, while others reach others; and that pod reaches
nobody at all, or the network's agent is not ready there. Without agents: all endpoints that cannot be connected to are on nodes whose condition NetworkUnavailable is True, or whose
network agent's pod is not ready; none on these nodes answers.

## How to fix
Restart the agent's pod on that node and read its log; drain the node until it works.

## Looks like
`node-notready`: the whole node is gone, its agent with it. `cni-cross-node-broken`: pods are reached from their own node. `sandbox-cni-failed`: new pods there do not start.

## Limits
The network's agents are known by the names of their DaemonSets. Pods that run may stay reachable for long without their agent, so one that is not ready makes it Likely only where
the node itself was not asked from.
",
    check,
};

/// DaemonSets that run a network's agent on each node.
const AGENTS: &[&str] = &[
    "antrea-agent",
    "aws-node",
    "azure-cns",
    "calico-node",
    "canal",
    "cilium",
    "kindnet",
    "kube-flannel",
    "kube-flannel-ds",
    "kube-router",
    "ovnkube-node",
    "rke2-canal",
    "weave-net",
];

fn check(case: &Case<'_>) -> Judgement {
    let matrix = Matrix::of(case)?;
    for node in matrix.to() {
        if let Some(finding) = from_several(case, &matrix, node)? {
            return Ok(finding.into());
        }
    }
    from_one_node(case, &matrix)
}

/// A node whose pods nobody reaches, its own gateway's pod not either, while others reach others.
fn from_several(case: &Case<'_>, matrix: &Matrix<'_>, node: &str) -> Result<Option<FindingBuilder>, Missing> {
    let others = || matrix.from().into_iter().filter(|n| *n != node);
    let all_lost = |links: &[Link]| links.contains(&Link::Lost) && links.iter().all(|l| matches!(l, Link::Lost | Link::Nobody));
    let in_from_others: Vec<Link> = others().map(|n| matrix.link(n, node)).collect();
    if matrix.link(node, node) != Link::Lost || !all_lost(&in_from_others) {
        return Ok(None);
    }
    let elsewhere = others().flat_map(|from| matrix.to().into_iter().flat_map(move |to| matrix.between(from, to)));
    let Some(reached) = elsewhere.into_iter().find(Cell::is_reached) else { return Ok(None) };
    let out: Vec<Link> = matrix.to().into_iter().filter(|n| *n != node).map(|n| matrix.link(node, n)).collect();
    let object = ObjectRef::new(Kind::Node, "", node);
    let alone = || {
        let text = format!("the gateway's pod on {node} reaches no endpoint at all");
        Broken { confidence: Confidence::Proven, object, text }
    };
    let said = broken(case, node);
    let found = match (all_lost(&out), said) {
        (_, Ok(Some(said))) => said,
        (true, _) => alone(),
        (false, said) => return said.map(|_| None),
    };
    let Some(lost) = matrix.between(node, node).next() else { return Ok(None) };
    let message =
        format!("The pod network does not work on node {node}: nobody reaches the pods there, not even from {node}, and {}.", found.text);
    let mut finding = CAUSE.finding(Confidence::Proven, message).object(&found.object, "status").states(found.text.clone());
    for cell in others().filter_map(|n| matrix.between(n, node).next()).chain([lost, reached]) {
        finding = finding.saw_from(cell.seen, cell.source.node);
    }
    let proof = (line_from(lost.seen, node), line_from(reached.seen, reached.source.node));
    Ok(Some(mend(finding.proof(proof.0, proof.1), &found.object, node)))
}

/// What one node tells alone.
fn from_one_node(case: &Case<'_>, matrix: &Matrix<'_>) -> Judgement {
    const DEAD: &[Signature] = &[Signature::ConnTimeout, Signature::HostUnreach];
    let mut nodes: BTreeMap<&str, Broken> = BTreeMap::new();
    let on: BTreeSet<&str> = case.path.backend.endpoints.iter().filter_map(super::node_of).collect();
    let mut unknown = None;
    for node in on {
        match broken(case, node) {
            // Pods that are reached on their own node are lost on the way there, whatever the agent does.
            Ok(Some(found)) if found.confidence > Confidence::Proven && matrix.link(node, node) == Link::Reached => {}
            Ok(found) => drop(found.map(|found| nodes.insert(node, found))),
            Err(missing) => unknown = Some(missing),
        }
    }
    let dead = case.walked_with(DEAD)?;
    let is_broken = |v: &EndpointView<'_>| super::node_of(v.endpoint).and_then(|n| nodes.get(n)).is_some();
    if let (false, Some(missing)) = (dead.is_empty(), unknown) {
        return Err(missing);
    }
    let answers_there = case.walked()?.iter().any(|v| is_broken(v) && !dead.iter().any(|d| d.endpoint.address == v.endpoint.address));
    let Some(first) = dead.first().filter(|_| !answers_there && dead.iter().all(is_broken)) else { return Ok(None) };
    let Some((node, found)) = super::node_of(first.endpoint).and_then(|n| nodes.get_key_value(n)) else { return Ok(None) };
    let message = format!("The pod network does not work on node {node}: {} ({}).", found.text, case.share(dead.len()));
    let elsewhere = case.walked()?.into_iter().find(|v| v.seen.response().is_some());
    let passing = elsewhere.map_or_else(|| found.text.clone(), |v| v.seen.to_string());
    let finding = CAUSE
        .finding(found.confidence, message)
        .object(&found.object, "status")
        .saw(first.seen)
        .states(found.text.clone())
        .proof(first.seen.to_string(), passing);
    Ok(mend(finding, &found.object, node).into())
}

fn mend(finding: FindingBuilder, object: &ObjectRef, node: &str) -> FindingBuilder {
    let finding = finding.fix("Restart the network's agent on that node; drain the node until it works.");
    let key = &object.key;
    let finding = match object.kind {
        Kind::Pod => finding
            .command(format!("kubectl -n {} logs {} --tail=50", key.namespace, key.name))
            .command(format!("kubectl -n {} delete pod {}", key.namespace, key.name)),
        _ => finding.command(format!("kubectl describe node {node}")),
    };
    finding.command(format!("kubectl drain {node} --ignore-daemonsets"))
}

struct Broken {
    confidence: Confidence,
    object: ObjectRef,
    text: String,
}

/// What says that a node's pod network does not work.
fn broken(case: &Case<'_>, name: &str) -> Result<Option<Broken>, Missing> {
    let node = case.snapshot.node(name);
    let unavailable = known(&node, "the endpoints' nodes")?.and_then(|n| {
        let condition = n.conditions.iter().find(|c| c.condition_type == "NetworkUnavailable" && c.status == ConditionStatus::True)?;
        Some(condition.reason.clone().unwrap_or_else(|| "NetworkUnavailable".into()))
    });
    if let Some(reason) = unavailable {
        let text = format!("Node/{name} has the condition NetworkUnavailable: {reason}");
        return Ok(Some(Broken { confidence: Confidence::Proven, object: ObjectRef::new(Kind::Node, "", name), text }));
    }
    let is_agent = |p: &Pod| p.meta.owner.as_ref().is_some_and(|o| o.kind == "DaemonSet" && AGENTS.contains(&o.name.as_str()));
    let agent = case.snapshot.pods().find(|p| p.node.as_deref() == Some(name) && is_agent(p) && !p.is_ready() && !p.meta.deleting);
    Ok(agent.map(|agent| {
        let text = format!("its agent {} is not ready", agent.reference());
        Broken { confidence: Confidence::Likely, object: agent.reference(), text }
    }))
}

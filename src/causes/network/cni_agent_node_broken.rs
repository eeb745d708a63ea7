use std::collections::{BTreeMap, BTreeSet};

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndpointView, Judgement, When, known};
use crate::probe::Signature;
use crate::snapshot::objects::{ConditionStatus, Kind, ObjectRef, Pod};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "cni-agent-node-broken",
    summary: "the pod network does not work on one node",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach],
    explains: &["node-firewall-blocks", "cni-cross-node-broken"],
    since: "0.1.0",
    docs: r"
## What it means
The agent of the pod network (CNI) on a node is down or has not set the node's network up. Pods there cannot be reached, from other nodes and from their own.

## What you see
Time-outs or `No route to host` for the pods of that node alone: every request to them fails, and a share of all requests does.

## How we know
All endpoints that cannot be connected to are on nodes whose condition NetworkUnavailable is True, or whose network agent's pod is not ready; none on these nodes answers.

## How to fix
Restart the agent's pod on that node and read its log; drain the node until it works.

## Looks like
`node-notready`: the whole node is gone, its agent with it. `cni-cross-node-broken`: pods are reached from their own node. `sandbox-cni-failed`: new pods there do not start.

## Limits
Agents are known by the names of their DaemonSets. Pods that run may stay reachable for long without their agent, so an agent that is not ready makes it Likely only.
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
    const DEAD: &[Signature] = &[Signature::ConnTimeout, Signature::HostUnreach];
    let mut nodes: BTreeMap<&str, Broken> = BTreeMap::new();
    let on: BTreeSet<&str> = case.path.backend.endpoints.iter().filter_map(super::node_of).collect();
    let mut unknown = None;
    for node in on {
        match broken(case, node) {
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
        .proof(first.seen.to_string(), passing)
        .fix("Restart the network's agent on that node; drain the node until it works.");
    let key = &found.object.key;
    let finding = match found.object.kind {
        Kind::Pod => finding
            .command(format!("kubectl -n {} logs {} --tail=50", key.namespace, key.name))
            .command(format!("kubectl -n {} delete pod {}", key.namespace, key.name)),
        _ => finding.command(format!("kubectl describe node {node}")),
    };
    Ok(finding.command(format!("kubectl drain {node} --ignore-daemonsets")).into())
}

struct Broken {
    confidence: Confidence,
    object: ObjectRef,
    text: String,
}

/// What says that a node's pod network does not work.
fn broken(case: &Case<'_>, name: &str) -> Result<Option<Broken>, crate::causes::Missing> {
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

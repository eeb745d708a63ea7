use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::network::node_of;
use crate::causes::{Case, Cause, EndpointView, FindingBuilder, Judgement, Missing, Platform, When, known};
use crate::probe::Signature;
use crate::snapshot::objects::{ConditionStatus, Kind, ObjectRef, Pod};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "node-pressure",
    summary: "the pods' node is short of memory, disk or process numbers",
    hop: Hop::Node,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint, Signature::ReadTimeout, Signature::ConnTimeout, Signature::EofEarly, Signature::RstEarly],
    explains: &["pod-evicted-or-drained", "pod-pending-unschedulable"],
    since: "0.1.0",
    docs: r"
## What it means
The kubelet says that its node runs out of memory, disk or process numbers. It evicts pods, and those that stay may be slow or fail at what they cannot get.

## What you see
Pods with the status `Evicted`, new ones that stay `Pending` because of the node's taint, `no space left on device`, requests that are cut or time out.

## How we know
Pods of the Service were evicted from a node that has MemoryPressure, DiskPressure or PIDPressure now, and no endpoint is left. Where endpoints are left, those that fail are all on
such a node; that is Likely if pods on other nodes answer, else Possible.

## How to fix
Free what the condition names, move pods away, and give the pods requests and limits that fit the node.

## Looks like
`pod-evicted-or-drained`: the pressure is over, or somebody drained the node. `pod-oomkilled`: one container exceeded its own limit. `node-notready`: the node does not report.

## Limits
That pressure is why a pod fails that was not evicted is an inference.
",
    check,
};

const PRESSURES: &[&str] = &["MemoryPressure", "DiskPressure", "PIDPressure"];

fn check(case: &Case<'_>) -> Judgement {
    const STALLED: &[Signature] = &[Signature::ReadTimeout, Signature::ConnTimeout, Signature::EofEarly, Signature::RstEarly];
    let none_ready = case.has_no_ready_endpoint()?;
    let failing = if none_ready { Vec::new() } else { case.walked_with(STALLED)? };
    if !none_ready && failing.is_empty() {
        return Ok(None);
    }
    known(&case.snapshot.holds_all(Kind::Node), "Nodes")?;
    let nodes = pressed(case);
    if none_ready {
        return Ok(evicted(case, &nodes)?.map(FindingBuilder::build));
    }
    let of = |v: &EndpointView<'_>| node_of(v.endpoint).and_then(|n| nodes.get_key_value(n));
    let Some((first, (node, pressure))) = failing.first().and_then(|v| Some((v, of(v)?))) else { return Ok(None) };
    if failing.iter().any(|v| of(v).is_none()) {
        return Ok(None);
    }
    let elsewhere = case.walked()?.into_iter().find(|v| v.seen.response().is_some() && of(v).is_none());
    let confidence = if elsewhere.is_some() { Confidence::Likely } else { Confidence::Possible };
    let message = format!(
        "Node/{node} has {pressure}, and {} of Service {} there fails: {}.",
        case.share(failing.len()),
        case.service_name(),
        first.seen.outcome_text()
    );
    let passing = elsewhere.map_or_else(|| says(node, pressure), |v| v.seen.to_string());
    Ok(finding(confidence, message, node, pressure).saw(first.seen).proof(first.seen.to_string(), passing).into())
}

/// The nodes under pressure, with what they are short of.
fn pressed(case: &Case<'_>) -> BTreeMap<String, String> {
    let of = |conditions: &[crate::snapshot::objects::Condition]| {
        let holds = conditions.iter().filter(|c| c.status == ConditionStatus::True && PRESSURES.contains(&c.condition_type.as_str()));
        holds.map(|c| c.condition_type.clone()).collect::<Vec<_>>().join(", ")
    };
    let nodes = case.snapshot.nodes().map(|n| (n.meta.name.to_string(), of(&n.conditions)));
    nodes.filter(|(_, pressure)| !pressure.is_empty()).collect()
}

/// Pods of the Service that were evicted from such a node.
fn evicted(case: &Case<'_>, nodes: &BTreeMap<String, String>) -> Result<Option<FindingBuilder>, Missing> {
    let Some(service) = case.service()? else { return Ok(None) };
    let Some(selector) = service.selector.as_ref().filter(|s| !s.is_empty()) else { return Ok(None) };
    let pods = case.snapshot.pods_labelled(&service.meta.namespace, selector);
    let gone = |p: &&Arc<Pod>| p.has_ended() && p.reason.as_deref() == Some("Evicted");
    let of = |p: &Arc<Pod>| nodes.get_key_value(p.node.as_deref()?).map(|(node, pressure)| (p.clone(), node.clone(), pressure.clone()));
    let found = known(&pods, "the Service's pods")?.into_iter().flatten().filter(gone).find_map(of);
    let Some((pod, node, pressure)) = found else { return Ok(None) };
    let message = format!(
        "Service {} has no ready endpoint: {} was evicted from Node/{node}, which has {pressure}.",
        case.service_name(),
        pod.reference()
    );
    let finding = finding(Confidence::Proven, message, &node, &pressure)
        .object(&pod.reference(), "status.reason")
        .states(format!("{}: Evicted", pod.reference()))
        .proof(case.failing_line(), says(&node, &pressure))
        .command(format!("kubectl -n {} describe pod {}", pod.meta.namespace, pod.meta.name));
    Ok(Some(finding))
}

fn says(node: &str, pressure: &str) -> String {
    format!("Node/{node} has the condition {pressure}: True")
}

fn finding(confidence: Confidence, message: String, node: &str, pressure: &str) -> FindingBuilder {
    let reference = ObjectRef::new(Kind::Node, "", node);
    CAUSE
        .finding(confidence, message)
        .object(&reference, "status.conditions")
        .states(says(node, pressure))
        .fix("Free on the node what the condition names, or move pods away from it.")
        .command(format!("kubectl describe node {node}"))
}

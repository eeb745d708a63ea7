use std::sync::Arc;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When, known};
use crate::probe::Signature;
use crate::snapshot::objects::{ConditionStatus, Pod};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "pod-evicted-or-drained",
    summary: "the pods were evicted, preempted or drained, and none has taken their place",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout, Signature::NoEndpoint],
    explains: &["eps-all-not-ready", "pod-pending-unschedulable", "rollout-unavailable"],
    since: "0.1.0",
    docs: r"
## What it means
Pods were taken off their node: by pressure on the node, by a pod of higher priority, or by a drain. New ones are not up, or have no node left to go to.

## What you see
A burst of broken connections, then 503 on most gateways. `kubectl get pods` shows `Evicted` or `Pending`.

## How we know
Pods under the Service's selector have ended with the reason Evicted or Preempted, or carry the condition DisruptionTarget; or they wait for a node, and the scheduler
says that the nodes they could go to are cordoned.

## How to fix
Uncordon a node, free what the eviction's message names, and give the workload a PodDisruptionBudget and more than one replica.

## Looks like
`pod-pending-unschedulable` where nodes are open and do not fit; `node-pressure` is what evicts.

## Limits
Pods that a drain removed are gone without a trace but their Events.
",
    check,
};

const TAKEN: &[&str] = &["Evicted", "Preempted", "Preempting", "Shutdown", "NodeShutdown", "Terminated"];

fn check(case: &Case<'_>) -> Judgement {
    if !case.has_no_ready_endpoint()? {
        return Ok(None);
    }
    let Some(service) = case.service()? else { return Ok(None) };
    let Some(selector) = service.selector.as_ref() else { return Ok(None) };
    let pods = case.snapshot.pods_labelled(&service.meta.namespace, selector);
    let Some(pods) = known(&pods, "the Service's pods")? else { return Ok(None) };
    let cordoned = pods.iter().find_map(|p| waits_for_cordoned(case, p).map(|text| (p, text)));
    let taken = pods.iter().find_map(|p| taken_off(p).map(|text| (p, text)));
    let (pod, text, cordoned) = match (cordoned, taken) {
        (Some((pod, text)), _) => (pod, text, true),
        (None, Some((pod, text))) => (pod, text, false),
        (None, None) => return Ok(None),
    };
    let closed: Vec<&str> = case.snapshot.nodes().filter(|n| n.unschedulable).map(|n| n.meta.name.as_str()).collect();
    let message = match cordoned {
        true => format!(
            "Service {} has no ready endpoint: {} has no node to go to, because {} is cordoned.",
            case.service_name(),
            pod.reference(),
            closed.join(", ")
        ),
        false => format!(
            "Service {} has no ready endpoint: {} was taken off its node ({text}), and none has taken its place.",
            case.service_name(),
            pod.reference()
        ),
    };
    let mut finding = CAUSE
        .finding(Confidence::Proven, message)
        .object(&pod.reference(), "status")
        .states(format!("{}: {text}", pod.reference()))
        .proof(case.failing_line(), format!("{}: {text}", pod.reference()))
        .fix("Open a node for the pods, or mend what took them off theirs.");
    for node in closed.iter().take(3) {
        finding = finding.states(format!("Node/{node} has spec.unschedulable: true")).command(format!("kubectl uncordon {node}"));
    }
    Ok(finding.command(format!("kubectl -n {} describe pod {}", pod.meta.namespace, pod.meta.name)).into())
}

/// What took a pod off its node.
fn taken_off(pod: &Arc<Pod>) -> Option<String> {
    if pod.has_ended() && pod.reason.as_deref().is_some_and(|r| TAKEN.contains(&r)) {
        return pod.reason.clone();
    }
    let target = pod.condition("DisruptionTarget").filter(|c| c.status == ConditionStatus::True)?;
    Some(target.reason.clone().unwrap_or_else(|| "DisruptionTarget".into()))
}

/// The scheduler's words, where every node that would fit is cordoned.
fn waits_for_cordoned(case: &Case<'_>, pod: &Arc<Pod>) -> Option<String> {
    let scheduled = pod.condition("PodScheduled").filter(|c| c.status == ConditionStatus::False)?;
    let message = scheduled.message.clone().unwrap_or_default();
    let reasons = message.split_once(": ").map_or("", |(_, rest)| rest).split(". ").next().unwrap_or_default();
    let reasons: Vec<&str> = reasons.split(", ").map(|r| r.trim_end_matches('.')).collect();
    let closed = |r: &&str| r.contains("were unschedulable");
    let elsewhere = |r: &&str| r.contains("node affinity/selector") || r.contains("untolerated taint");
    let fits = reasons.iter().any(closed) && reasons.iter().all(|r| closed(r) || elsewhere(r));
    (fits && case.snapshot.nodes().any(|n| n.unschedulable)).then(|| message.trim_end_matches('.').to_owned())
}

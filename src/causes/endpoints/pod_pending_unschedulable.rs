use super::pods;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::ConditionStatus;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "pod-pending-unschedulable",
    summary: "no node fits the pods behind the Service",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &["eps-all-not-ready", "rollout-stuck-new-rs-bad"],
    since: "0.1.0",
    docs: r"
## What it means
The scheduler finds no node for the pods: resources, node selectors, affinities, taints or a volume's zone exclude all of them.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services. Pods stay `Pending`.

## How we know
The pods' condition PodScheduled is False with the reason Unschedulable; its message counts the nodes by what excludes them.

## How to fix
Change what the message names, or add a node that fits.

## Looks like
`image-pull-failed` and `sandbox-cni-failed` are Pending too, but on a node.

## Limits
Whether an autoscaler is about to add a node is not known.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let mut pods = pods::not_up(case)?;
    pods.retain(|p| {
        p.condition("PodScheduled").is_some_and(|c| c.status == ConditionStatus::False && c.reason.as_deref() == Some("Unschedulable"))
    });
    let Some(first) = pods.first() else { return Ok(None) };
    let message = first.condition("PodScheduled").and_then(|c| c.message.clone()).unwrap_or_default();
    let message = message.trim_end_matches('.');
    Ok(pods::finding(
        case,
        &CAUSE,
        &pods,
        Confidence::Proven,
        &format!("no node fits {}", first.reference()),
        &format!("{}: {message}", first.reference()),
    )
    .states(format!("{}: {message}", first.reference()))
    .fix("Change the request, selector or affinity that the scheduler's message names, or add a node that fits.")
    .command(format!("kubectl -n {} describe pod {}", first.meta.namespace, first.meta.name))
    .command(format!("kubectl -n {} edit {}", first.meta.namespace, pods::owner(case, first)))
    .into())
}

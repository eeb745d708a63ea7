use super::pods;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "volume-mount-failed",
    summary: "a volume of the pods cannot be mounted",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &["eps-all-not-ready", "rollout-stuck-new-rs-bad", "rollout-unavailable"],
    since: "0.1.0",
    docs: r"
## What it means
The kubelet cannot set up a volume of the pod: its Secret or ConfigMap does not exist, its disk hangs on another node, its driver fails. No container starts.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services. Pods stay in `ContainerCreating`.

## How we know
The pods are on a node, none of their containers was created, and an Event FailedMount or FailedAttachVolume about them says why.

## How to fix
Create what the message names, or correct the volume. The kubelet tries again by itself.

## Looks like
`config-or-secret-missing` is the same mistake in an environment variable; `sandbox-cni-failed` waits in the same state for its network.

## Limits
Events are kept for an hour by default. Where they cannot be read, the cause stays unknown.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let held = pods::not_up(case)?;
    let mut stuck = Vec::new();
    for pod in held.iter().filter(|p| pods::is_being_created(p)) {
        let warnings = case.warnings(&pod.reference(), &pod.meta.uid)?;
        if let Some(warning) = warnings.iter().rev().find(|w| matches!(w.reason.as_str(), "FailedMount" | "FailedAttachVolume")) {
            stuck.push((*pod, warning.message.trim_end().trim_end_matches('.').to_owned()));
        }
    }
    let Some((first, message)) = stuck.first() else { return Ok(None) };
    let alike: Vec<_> = stuck.iter().map(|(p, _)| *p).collect();
    let says = format!("a volume of {} cannot be mounted: {message}", first.reference());
    Ok(pods::finding(case, &CAUSE, &alike, Confidence::Proven, &says, message)
        .happened(format!("{}: {message}", first.reference()))
        .fix("Create what the message names, or correct the volume.")
        .command(format!("kubectl -n {} describe pod {}", first.meta.namespace, first.meta.name))
        .command(format!("kubectl -n {} edit {}", first.meta.namespace, pods::owner(case, first)))
        .into())
}

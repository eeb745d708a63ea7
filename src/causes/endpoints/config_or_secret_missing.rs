use super::pods;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::ContainerState;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "config-or-secret-missing",
    summary: "pods refer to a ConfigMap, Secret or key that does not exist",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &["eps-all-not-ready", "rollout-stuck-new-rs-bad"],
    since: "0.1.0",
    docs: r"
## What it means
A container's environment refers to a ConfigMap, a Secret, or a key in one, that does not exist, so the container is never started.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services. Pods show `CreateContainerConfigError`.

## How we know
A container of the Service's pods waits with the reason CreateContainerConfigError, and its message names what is missing.

## How to fix
Create the object or key, or correct the reference. The pods start by themselves then.

## Looks like
`volume-mount-failed` is the same mistake in a volume: the pod stays in ContainerCreating.

## Limits
Secrets are never read; the name comes from the kubelet's message.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let found = pods::with_container(
        &pods::not_up(case)?,
        |c| matches!(&c.state, ContainerState::Waiting { reason, .. } if reason == "CreateContainerConfigError"),
    );
    let Some((pod, container)) = found.first() else { return Ok(None) };
    let ContainerState::Waiting { message, .. } = &container.state else { return Ok(None) };
    let alike: Vec<_> = found.iter().map(|(pod, _)| *pod).collect();
    let message = message.trim_end_matches('.');
    let says = format!("container {} of {} is not started: {message}", container.name, pod.reference());
    Ok(pods::finding(case, &CAUSE, &alike, Confidence::Proven, &says, &format!("container {} waits: {message}", container.name))
        .states(format!("container {} waits: CreateContainerConfigError: {message}", container.name))
        .fix("Create what the message names, or correct the reference to it.")
        .command(format!("kubectl -n {} get configmaps,secrets", pod.meta.namespace))
        .command(format!("kubectl -n {} edit {}", pod.meta.namespace, pods::owner(case, pod)))
        .into())
}

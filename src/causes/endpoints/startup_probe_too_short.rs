use super::liveness_kills::{failed_probe, was_killed};
use super::pods;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "startup-probe-too-short",
    summary: "the startup probe gives up before the application is up",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::Refused, Signature::NoEndpoint],
    explains: &["crash-loop", "eps-all-not-ready", "liveness-kills", "rollout-stuck-new-rs-bad", "rollout-unavailable"],
    since: "0.1.0",
    docs: r"
## What it means
The startup probe fails as often as it may, and the kubelet kills the container while it is still starting. The next run is no faster.

## What you see
503 on most gateways. Pods restart at the same age each time, and show `CrashLoopBackOff` after a while.

## How we know
The container was killed and started again, has a startup probe, and an Event says that this probe failed. `periodSeconds` × `failureThreshold` is the time it had.

## How to fix
Raise `failureThreshold`, so that the slowest start fits; or correct what the probe asks for.

## Looks like
`liveness-kills` fails another probe, later; `crash-loop` ends by itself.

## Limits
Whether the application would ever come up is not known. Where Events cannot be read, the cause stays unknown.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let found = pods::with_container(&pods::not_up(case)?, |c| c.startup.is_some() && was_killed(c));
    let Some((pod, container)) = found.first() else { return Ok(None) };
    let Some(startup) = &container.startup else { return Ok(None) };
    let warnings = case.warnings(&pod.reference(), &pod.meta.uid)?;
    let Some(said) = failed_probe(&warnings, "Startup") else { return Ok(None) };
    let alike: Vec<_> = found.iter().map(|(p, _)| *p).collect();
    let time = startup.initial_delay_seconds + startup.period_seconds * startup.failure_threshold;
    let says =
        format!("container {} of {} is killed by its startup probe, which gives it {time} s ({said})", container.name, pod.reference());
    Ok(pods::finding(case, &CAUSE, &alike, Confidence::Proven, &says, &said)
        .happened(format!("{}: {said}", pod.reference()))
        .states(format!(
            "container {} has {time} s: periodSeconds {} × failureThreshold {}",
            container.name, startup.period_seconds, startup.failure_threshold
        ))
        .fix("Raise failureThreshold of the startup probe until the slowest start fits, or correct what it asks for.")
        .command(format!("kubectl -n {} edit {}", pod.meta.namespace, pods::owner(case, pod)))
        .into())
}

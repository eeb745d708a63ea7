use super::pods;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::{Container, ContainerState};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "liveness-kills",
    summary: "the liveness probe fails, and the kubelet kills the containers again and again",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::EofEarly, Signature::RstEarly, Signature::Refused, Signature::NoEndpoint],
    explains: &["crash-loop", "eps-all-not-ready", "rollout-stuck-new-rs-bad"],
    since: "0.1.0",
    docs: r"
## What it means
The kubelet takes a container that does not pass its liveness probe for dead, kills it and starts it anew. The application itself may be well, only slow, or
asked at the wrong place.

## What you see
Broken connections, then 503 or connection refused; it comes and goes. Restarts grow, and after some of them pods show `CrashLoopBackOff`.

## How we know
The container was started again after it was killed (exit code 137 or 143, or an end on request), has a liveness probe, and an Event says that this probe failed.

## How to fix
Let the probe ask for what the application answers, raise `timeoutSeconds` and `failureThreshold`, and give slow starters a startup probe.

## Looks like
`crash-loop` ends by itself with its own exit code; `pod-oomkilled` has 137 as well, with the reason OOMKilled; `startup-probe-too-short` fails another probe.

## Limits
Without Events the kill is inferred from the exit code, and the finding is Likely.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let found = pods::with_container(&pods::not_up(case)?, |c| c.liveness.is_some() && was_killed(c));
    let Some((pod, container)) = found.first() else { return Ok(None) };
    let alike: Vec<_> = found.iter().map(|(p, _)| *p).collect();
    let said = match case.warnings(&pod.reference(), &pod.meta.uid) {
        Ok(warnings) => match failed_probe(&warnings, "Liveness") {
            Some(said) => Some(said),
            None => return Ok(None),
        },
        Err(missing) if container.startup.is_some() => return Err(missing),
        Err(_) => None,
    };
    let confidence = if said.is_some() { Confidence::Proven } else { Confidence::Likely };
    let why = said.clone().unwrap_or_else(|| "exit code 137 or 143 without being out of memory".into());
    let says = format!("container {} of {} is killed by its liveness probe ({why})", container.name, pod.reference());
    let mut finding = pods::finding(case, &CAUSE, &alike, confidence, &says, &why)
        .states(format!("container {} was killed and started again", container.name));
    if let Some(said) = said {
        finding = finding.happened(format!("{}: {said}", pod.reference()));
    }
    Ok(finding
        .fix("Let the liveness probe ask for what the application answers, give it more time, and let a startup probe cover a slow start.")
        .command(format!("kubectl -n {} edit {}", pod.meta.namespace, pods::owner(case, pod)))
        .command(format!("kubectl -n {} logs {} -c {} --previous", pod.meta.namespace, pod.meta.name, container.name))
        .into())
}

/// Whether the last run ended because somebody ended it, and not for want of memory.
pub(super) fn was_killed(container: &Container) -> bool {
    let ended = match &container.state {
        ContainerState::Terminated(ended) => Some(ended),
        _ => container.last_termination.as_ref(),
    };
    ended.is_some_and(|e| matches!(e.exit_code, 0 | 137 | 143) && e.reason != "OOMKilled")
        && (container.restarts > 0 || matches!(container.state, ContainerState::Terminated(_)))
}

/// What an Event says of a kubelet's probe that failed, in its first line.
pub(super) fn failed_probe(warnings: &[std::sync::Arc<crate::snapshot::objects::Event>], which: &str) -> Option<String> {
    let prefix = format!("{which} probe failed");
    let said = warnings.iter().rev().find(|w| w.reason == "Unhealthy" && w.message.starts_with(&prefix))?;
    Some(said.message.lines().next().unwrap_or_default().trim().to_owned())
}

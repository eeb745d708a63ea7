use super::pods;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::{Container, ContainerState, Pod};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "init-container-stuck",
    summary: "an init container waits or fails, so the application never starts",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &["eps-all-not-ready", "rollout-stuck-new-rs-bad"],
    since: "0.1.0",
    docs: r"
## What it means
The containers of a pod start only after its init containers have ended well, one after the other. One of them runs on without an end, or fails.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services. Pods show `Init:0/1`, `Init:Error` or `Init:CrashLoopBackOff`.

## How we know
In every pod of the Service the containers wait with the reason PodInitializing, while one init container runs or has ended badly.

## How to fix
Read the init container's log; most often it waits for a database, a migration or a name that does not come.

## Looks like
`crash-loop` is the same in the application's own container; `image-pull-failed` and `config-or-secret-missing` may stop an init container before it starts.

## Limits
An init container that runs may be at honest work; the finding is Likely then, and Proven where it ended badly.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let held = pods::not_up(case)?;
    let stuck: Vec<_> = held.iter().filter_map(|p| stuck(p).map(|c| (*p, c))).collect();
    let Some((first, container)) = stuck.first() else { return Ok(None) };
    let alike: Vec<_> = stuck.iter().map(|(p, _)| *p).collect();
    let (confidence, state) = match how(container) {
        Some(code) => (Confidence::Proven, format!("exits with {code} again and again")),
        None => (Confidence::Likely, "runs and does not end".into()),
    };
    let says = format!("init container {} of {} {state}", container.name, first.reference());
    let proof = format!("init container {} {state}; the containers after it wait", container.name);
    Ok(pods::finding(case, &CAUSE, &alike, confidence, &says, &proof)
        .states(format!("{}: {proof}", first.reference()))
        .fix("Read the init container's log, and mend what it waits for.")
        .command(format!("kubectl -n {} logs {} -c {}", first.meta.namespace, first.meta.name, container.name))
        .into())
}

/// The init container that the pod's own containers wait for, where it is neither waiting to be created nor done.
fn stuck(pod: &Pod) -> Option<&Container> {
    let waits = |c: &Container| {
        matches!(&c.state, ContainerState::Waiting { reason, .. } if reason == "PodInitializing") || c.state == ContainerState::Unreported
    };
    if !pod.containers.iter().all(waits) {
        return None;
    }
    pod.init_containers.iter().find(|c| how(c).is_some() || matches!(c.state, ContainerState::Running { .. }) && !c.ready)
}

/// The exit code of a run that ended badly.
fn how(container: &Container) -> Option<i32> {
    let ended = match &container.state {
        ContainerState::Terminated(ended) => Some(ended),
        ContainerState::Waiting { reason, .. } if reason == "CrashLoopBackOff" => container.last_termination.as_ref(),
        ContainerState::Running { .. } if container.restarts > 0 => container.last_termination.as_ref(),
        ContainerState::Waiting { .. } | ContainerState::Running { .. } | ContainerState::Unreported => None,
    };
    ended.map(|e| e.exit_code).filter(|code| *code != 0)
}

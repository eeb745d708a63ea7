use crate::api::{Confidence, Hop, Severity};
use crate::causes::endpoints::pods;
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::{Container, ContainerState};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "pod-oomkilled",
    summary: "a container behind the Service was killed for exceeding its memory limit",
    hop: Hop::Application,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::EofEarly, Signature::RstEarly, Signature::Refused, Signature::NoEndpoint],
    explains: &["crash-loop", "eps-all-not-ready"],
    since: "0.1.0",
    docs: r"
## What it means
The container used more memory than its limit, and the kernel killed its process.

## What you see
Requests under way are cut or reset, then connection refused, then no endpoint. Pods show `OOMKilled` and restarts.

## How we know
The container's state or its last one is terminated with the reason OOMKilled, and it is not ready now.

## How to fix
Raise the limit above what the application needs at its peak, or mend the leak.

## Looks like
`crash-loop` with exit code 137 alone is no proof: a liveness probe kills with the same code.

## Limits
A child process that is killed leaves the pod's state as it is; only the cgroup's counters show that.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let found = pods::with_container(&pods::not_up(case)?, was_killed);
    let Some((pod, container)) = found.first() else { return Ok(None) };
    let alike: Vec<_> = found.iter().map(|(pod, _)| *pod).collect();
    let limit = container.memory_limit.as_ref().map_or_else(|| "no limit of its own".to_owned(), |l| format!("the limit {l}"));
    let says = format!("container {} of {} is killed for its memory, with {limit}", container.name, pod.reference());
    let state = format!("container {} ended with the reason OOMKilled, with {limit}", container.name);
    Ok(pods::finding(case, &CAUSE, &alike, Confidence::Proven, &says, &state)
        .object(&pod.reference(), "spec.containers[].resources.limits.memory")
        .states(state.clone())
        .fix("Raise the memory limit above the application's peak, or mend its use of memory.")
        .command(format!(
            "kubectl -n {} set resources {} -c {} --limits=memory=SIZE",
            pod.meta.namespace,
            pods::owner(case, pod),
            container.name
        ))
        .into())
}

fn was_killed(container: &Container) -> bool {
    let now = match &container.state {
        ContainerState::Terminated(ended) => Some(ended),
        _ => container.last_termination.as_ref(),
    };
    !container.ready && now.is_some_and(|t| t.reason == "OOMKilled")
}

use super::pods;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::{Container, ContainerState, Termination};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "crash-loop",
    summary: "the containers behind the Service exit again and again",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::Refused, Signature::NoEndpoint],
    explains: &["eps-all-not-ready", "rollout-stuck-new-rs-bad"],
    since: "0.1.0",
    docs: r"
## What it means
The container's process ends soon after its start, and Kubernetes starts it again after longer and longer pauses.

## What you see
503 on most gateways, or connection refused while the address is still listed. Pods show `CrashLoopBackOff` or `Error`.

## How we know
A container of the Service's pods waits with CrashLoopBackOff, or has ended, or runs again after a run that failed; the exit code says how.

## How to fix
Read the log of the run that ended. 1 and 2 are the application's own, 126 and 127 a command that cannot be run, 137 a kill, 139 a crash in native code, 143 an orderly end on request.

## Looks like
`init-container-stuck` is the same before the application starts; `pod-oomkilled` is a crash loop with the reason OOMKilled; `liveness-kills` one where the kubelet does the killing.

## Limits
Why the process ends stands in its log, which is not read.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let found = pods::with_own_container(&pods::not_up(case)?, |c| ending(c).is_some());
    let Some((pod, container)) = found.first() else { return Ok(None) };
    let Some(ended) = ending(container) else { return Ok(None) };
    let alike: Vec<_> = found.iter().map(|(pod, _)| *pod).collect();
    let back_off = matches!(container.state, ContainerState::Waiting { .. } | ContainerState::Terminated(_));
    let confidence = if back_off { Confidence::Proven } else { Confidence::Likely };
    let says = format!("container {} of {} exits with {} ({})", container.name, pod.reference(), ended.exit_code, meaning(ended.exit_code));
    let state = format!("container {} ended with exit code {}, reason {}", container.name, ended.exit_code, ended.reason);
    Ok(pods::finding(case, &CAUSE, &alike, confidence, &says, &state)
        .states(state.clone())
        .fix("Read why it ended, and mend that.")
        .command(format!("kubectl -n {} logs {} -c {} --previous", pod.meta.namespace, pod.meta.name, container.name))
        .into())
}

/// How the run before this state ended, where the container is in a loop of them.
fn ending(container: &Container) -> Option<&Termination> {
    match &container.state {
        ContainerState::Waiting { reason, .. } if reason == "CrashLoopBackOff" => container.last_termination.as_ref(),
        ContainerState::Terminated(ended) if !(ended.exit_code == 0 && ended.reason == "Completed" && container.restarts == 0) => {
            Some(ended)
        }
        ContainerState::Running { .. } if container.restarts > 0 && !container.ready => {
            container.last_termination.as_ref().filter(|t| t.exit_code != 0)
        }
        _ => None,
    }
}

fn meaning(exit_code: i32) -> &'static str {
    match exit_code {
        0 => "it ended well, but a server must not end",
        126 => "the command cannot be executed",
        127 => "the command does not exist",
        137 => "killed",
        139 => "segmentation fault",
        143 => "terminated on request",
        _ => "the application's own code",
    }
}

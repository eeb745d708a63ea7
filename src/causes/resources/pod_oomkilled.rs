use crate::api::{Confidence, Hop, Severity};
use crate::causes::endpoints::pods;
use crate::causes::look::FailingInside;
use crate::causes::{Case, Cause, FindingBuilder, Judgement, Look, Platform, When};
use crate::probe::{Observation, Signature};
use crate::snapshot::objects::{Container, ContainerState, Pod};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "pod-oomkilled",
    summary: "a container behind the Service was killed for exceeding its memory limit",
    hop: Hop::Application,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: SIGNATURES,
    explains: &["app-closes-connection", "app-never-answers", "app-returns-5xx", "crash-loop", "eps-all-not-ready"],
    since: "0.1.0",
    docs: r"
## What it means
The container used more memory than its limit, and the kernel killed its process, or one of its children: then the container runs on and requests are lost.

## What you see
Requests under way are cut or reset, then connection refused, then no endpoint. Pods show `OOMKilled` and restarts; where a child is killed they show nothing.

## How we know
The container's state or its last one is terminated with the reason OOMKilled, and it is not ready now. Or the pod is up and fails, and an agent looks into it: its control group
counts one more process killed after the request was sent again and failed again. Where that request is answered and the count stands above zero though no container was ever
restarted, it is Likely for connections that ended early.

## How to fix
Raise the limit above what the application needs at its peak, or mend the leak.

## Looks like
`crash-loop` with exit code 137 alone is no proof: a liveness probe kills with the same code. `app-closes-connection` and `app-returns-5xx` are the same answers, and nobody is
killed meanwhile.

## Limits
A child that is killed leaves the pod's state as it is; without an agent it is not seen. With control groups of version 2 the kubelet has the whole container killed
(`singleProcessOOMKill: false`). A process that is killed because its node has no memory left is counted as well.
",
    check,
};

/// What a request meets whose process is killed: the connection ends, is kept open by another process that knows nothing of it, or whoever waited for the process says so.
const SIGNATURES: &[Signature] = &[
    Signature::EofEarly,
    Signature::RstEarly,
    Signature::ReadTimeout,
    Signature::Relayed,
    Signature::BodyCut,
    Signature::Refused,
    Signature::NoEndpoint,
];

fn check(case: &Case<'_>) -> Judgement {
    match of_a_container(case)? {
        Some(finding) => Ok(Some(finding)),
        None => of_a_process(case),
    }
}

/// A container that was killed as a whole, and is not up.
fn of_a_container(case: &Case<'_>) -> Judgement {
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

/// A process that is killed while its container runs on. The count begins with the pod, so that only its change says something of now.
fn of_a_process(case: &Case<'_>) -> Judgement {
    for failing in case.look_into_failing(OF_A_PROCESS)? {
        let FailingInside { view, behind, look } = failing;
        let Some(pod) = behind.pod() else { continue };
        let Some(before) = kills(look).filter(|count| *count > 0) else { continue };
        let Some((again, later)) = case.ask_between(behind, &view.seen.probe)? else { continue };
        let counted_up = kills(later).is_some_and(|after| after > before);
        match again.signature().is_some() {
            true if counted_up => return Ok(found(case, failing, pod, later, Confidence::Proven).into()),
            // Nobody was killed for the request that failed now.
            true => {}
            false if ended_early(view.seen) && never_restarted(pod) => {
                return Ok(found(case, failing, pod, later, Confidence::Likely).into());
            }
            false => {}
        }
    }
    Ok(None)
}

const OF_A_PROCESS: &[Signature] =
    &[Signature::EofEarly, Signature::RstEarly, Signature::ReadTimeout, Signature::Relayed, Signature::BodyCut];

fn kills(look: Look<'_>) -> Option<u64> {
    look.inside.memory.and_then(|memory| memory.oom_kills)
}

fn ended_early(seen: &Observation) -> bool {
    matches!(seen.signature(), Some(Signature::EofEarly | Signature::RstEarly))
}

/// A kill that ended a container is counted for ever, and is over.
fn never_restarted(pod: &Pod) -> bool {
    pod.init_containers.iter().chain(&pod.containers).all(|c| c.restarts == 0)
}

fn found(case: &Case<'_>, failing: FailingInside<'_>, pod: &Pod, later: Look<'_>, confidence: Confidence) -> FindingBuilder {
    let view = failing.view;
    let limit =
        later.inside.memory.and_then(|memory| memory.usage.limit).map_or_else(String::new, |l| format!(" (limit {})", mebibytes(l)));
    let (message, line) = match confidence {
        Confidence::Proven => (
            format!("Requests to {} fail while the kernel kills processes in it for want of memory{limit}.", pod.reference()),
            later.line(format_args!("one more process was killed for want of memory by the time that the request had failed again{limit}")),
        ),
        _ => (
            format!("Processes in {} have been killed for want of memory{limit}, and some requests to it end early.", pod.reference()),
            later.line(format_args!("processes were killed for want of memory, and no container was restarted{limit}")),
        ),
    };
    let mut finding = CAUSE
        .finding(confidence, message)
        .object(&pod.reference(), "spec.containers[].resources.limits.memory")
        .saw(view.seen)
        .looked(later, line.clone())
        .proof(view.seen.to_string(), line)
        .fix("Raise the memory limit above the application's peak, or mend its use of memory.");
    if let Some(workload) = case.path.backend.workloads.first() {
        finding = finding.command(workload.reference().kubectl("edit"));
    }
    finding.command(format!(
        "kubectl -n {} exec {} -- sh -c 'cat /sys/fs/cgroup/memory.events || cat /sys/fs/cgroup/memory/memory.oom_control'",
        pod.meta.namespace, pod.meta.name
    ))
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes / (1 << 20))
}

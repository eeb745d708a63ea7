use jiff::SignedDuration;

use super::pods;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::{ConditionStatus, Container, ContainerState, Kind, Pod, Strategy, Workload};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "rollout-unavailable",
    summary: "a rollout has taken all old pods away before a new one is ready",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &["eps-all-not-ready"],
    since: "0.1.0",
    docs: r"
## What it means
The Deployment replaces its pods in a way that allows none to be left: strategy Recreate, or `maxUnavailable` as large as the number of replicas. Until the first new
pod is ready, gateways have nobody to call.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services, for as long as the application takes to start, at every deployment.

## How we know
No endpoint is ready, the Deployment is progressing and was rolled out before, its strategy allows the gap, and the new pods are on their way without trouble.

## How to fix
`maxUnavailable: 0` and `maxSurge: 1`, so that a new pod is ready before an old one goes; Recreate only where two versions must never run at once.

## Looks like
`rollout-stuck-new-rs-bad` has passed its deadline. `eps-all-not-ready` and the causes of pods that do not come up are what this becomes if the new pods have trouble.

## Limits
It mends itself once the pods are ready. Whether they will be is not known.
",
    check,
};

/// A container without probe settings may take this long to listen before it is more than a slow start.
const SLOW_START: i64 = 20;
/// The same for an init container.
const INIT: i64 = 3;

fn check(case: &Case<'_>) -> Judgement {
    if !case.has_no_ready_endpoint()? {
        return Ok(None);
    }
    let Some(workload) = case.workloads()?.iter().find(|w| has_gap(w)) else { return Ok(None) };
    let held = pods::not_up(case)?;
    for pod in &held {
        if !pods::starting(pod) || !is_young(case, pod)? {
            return Ok(None);
        }
    }
    let strategy = match workload.strategy {
        Strategy::Recreate => "strategy Recreate".to_owned(),
        Strategy::Rolling { max_unavailable } => format!("maxUnavailable {max_unavailable} of {} replicas", workload.desired),
        Strategy::Unstated => return Ok(None),
    };
    let name = format!("deployment/{}", workload.meta.name);
    let message = format!(
        "Service {} has no ready endpoint: {} is being rolled out with {strategy}, and no new pod is ready yet.",
        case.service_name(),
        workload.reference()
    );
    let proof = format!("{}: Progressing is True, {strategy}", workload.reference());
    let patch = r#"{"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1,"maxUnavailable":0}}}}"#;
    Ok(CAUSE
        .finding(Confidence::Proven, message)
        .object(&workload.reference(), "spec.strategy")
        .states(proof.clone())
        .proof(case.failing_line(), proof)
        .fix("Let a new pod be ready before an old one goes.")
        .command(format!("kubectl -n {} patch {name} -p '{patch}'", workload.meta.namespace))
        .command(format!("kubectl -n {} rollout status {name}", workload.meta.namespace))
        .into())
}

/// Whether a Deployment is on its way from one revision to the next and may be without pods meanwhile.
fn has_gap(workload: &Workload) -> bool {
    let replaced =
        workload.meta.annotations.get("deployment.kubernetes.io/revision").and_then(|r| r.parse::<u64>().ok()).is_some_and(|r| r > 1);
    let progressing = |c: &crate::snapshot::objects::Condition| {
        c.condition_type == "Progressing" && c.status == ConditionStatus::True && c.reason.as_deref() != Some("NewReplicaSetAvailable")
    };
    let gap = match workload.strategy {
        Strategy::Recreate => true,
        Strategy::Rolling { max_unavailable } => max_unavailable >= workload.desired,
        Strategy::Unstated => false,
    };
    workload.kind == Kind::Deployment && workload.desired > 0 && replaced && gap && workload.conditions.iter().any(progressing)
}

/// Whether a pod is not up because it is new: its containers are being created, or run for less than they are given to start.
fn is_young(case: &Case<'_>, pod: &Pod) -> Result<bool, Missing> {
    let Some(now) = case.now() else { return Err(Missing::Fact("nothing was asked, so how old the pods are is not known".into())) };
    let young = |c: &Container| match c.state {
        ContainerState::Running { since: Some(since) } => now.duration_since(since) < SignedDuration::from_secs(given(c)) || c.ready,
        ContainerState::Running { since: None } => c.ready,
        ContainerState::Waiting { .. } | ContainerState::Unreported => true,
        ContainerState::Terminated(_) => false,
    };
    // What runs before the containers is given less: one that does not end is a trouble of its own.
    let brief = |c: &Container| match c.state {
        ContainerState::Running { since } => {
            c.ready || since.is_some_and(|since| now.duration_since(since) < SignedDuration::from_secs(INIT))
        }
        ContainerState::Waiting { .. } | ContainerState::Unreported | ContainerState::Terminated(_) => true,
    };
    if !pod.containers.iter().all(young) || !pod.init_containers.iter().all(brief) {
        return Ok(false);
    }
    // A container that already listens and is not ready has been judged by its own probe.
    let endpoint = case.path.backend.endpoints.iter().find(|e| pod.ips.contains(&e.address));
    let Some(to) = endpoint.and_then(crate::path::Endpoint::socket) else { return Ok(true) };
    let delayed = |c: &Container| c.readiness.as_ref().is_some_and(|p| p.initial_delay_seconds > 0);
    Ok(pod.containers.iter().any(delayed) || case.ask(case.connect_to(to))?.signature().is_some())
}

/// Seconds that a container is given to start, by its own probes.
fn given(container: &Container) -> i64 {
    let startup = container.startup.as_ref().map_or(0, |p| p.initial_delay_seconds + p.period_seconds * p.failure_threshold);
    let readiness = container.readiness.as_ref().map_or(0, |p| p.initial_delay_seconds + p.period_seconds);
    i64::from(startup.max(readiness)).max(SLOW_START)
}

use super::pods;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::{ConditionStatus, Pod};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "readiness-gate-false",
    summary: "a readiness gate holds the pods back although their containers are ready",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &["eps-all-not-ready", "rollout-stuck-new-rs-bad"],
    since: "0.1.0",
    docs: r"
## What it means
The pods' spec lists a readiness gate: a condition that some controller, such as a load balancer's or a mesh's, has to set to True. It has not.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services. Pods show `1/1 Running`; only `-o wide` shows `READINESS GATES 0/1`.

## How we know
The pods' condition ContainersReady is True, their condition Ready is not, and the condition that the gate names is False or missing.

## How to fix
Mend the controller that sets the condition, or take the gate out of the pod template.

## Looks like
`eps-all-not-ready` and `readiness-probe-misconfigured` have containers that are not ready.

## Limits
Why the controller does not set the condition stands in its own log.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let mut held = pods::not_up(case)?;
    held.retain(|p| is_true(p, "ContainersReady") && closed_gate(p).is_some());
    let Some(first) = held.first() else { return Ok(None) };
    let Some(gate) = closed_gate(first) else { return Ok(None) };
    let state = match first.condition(gate) {
        Some(condition) => format!("is {}", condition.status),
        None => "was never set".into(),
    };
    let says = format!("the containers of {} are ready, but the condition {gate} of its readiness gate {state}", first.reference());
    let proof = format!("{}: ContainersReady is True, {gate} {state}", first.reference());
    Ok(pods::finding(case, &CAUSE, &held, Confidence::Proven, &says, &proof)
        .states(proof.clone())
        .fix("Mend the controller that sets the condition, or take the gate out of the pod template.")
        .command(format!("kubectl -n {} get pod {} -o jsonpath='{{.status.conditions}}'", first.meta.namespace, first.meta.name))
        .command(format!("kubectl -n {} edit {}", first.meta.namespace, pods::owner(case, first)))
        .into())
}

fn is_true(pod: &Pod, condition: &str) -> bool {
    pod.condition(condition).is_some_and(|c| c.status == ConditionStatus::True)
}

fn closed_gate(pod: &Pod) -> Option<&str> {
    pod.readiness_gates.iter().find(|g| !is_true(pod, g)).map(String::as_str)
}

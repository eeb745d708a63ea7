use super::pods;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::{ConditionStatus, Kind, Workload};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "rollout-stuck-new-rs-bad",
    summary: "a rollout does not come to its end: no pod of the new version gets ready",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &["eps-all-not-ready"],
    since: "0.1.0",
    docs: r"
## What it means
The Deployment replaces its pods, those of the new version do not become ready within the deadline, and those of the old one are already gone.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services, since the last deployment.

## How we know
No endpoint is ready, and the Deployment's condition Progressing is False with the reason ProgressDeadlineExceeded.

## How to fix
Go back to the version before: `kubectl rollout undo`. Then find out why the new one does not get ready. `maxUnavailable: 0` keeps the old pods until then.

## Looks like
`rollout-unavailable` is on its way and within its deadline. `crash-loop`, `image-pull-failed` and others say why the new pods are not ready, and stand before this.

## Limits
The deadline is ten minutes unless the Deployment says otherwise; before that it is not called stuck.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    if !case.has_no_ready_endpoint()? {
        return Ok(None);
    }
    let is_stuck = |w: &Workload| {
        let late = |c: &crate::snapshot::objects::Condition| {
            c.condition_type == "Progressing"
                && c.status == ConditionStatus::False
                && c.reason.as_deref() == Some("ProgressDeadlineExceeded")
        };
        w.kind == Kind::Deployment && w.desired > 0 && w.conditions.iter().any(late)
    };
    let Some(workload) = case.workloads()?.iter().find(|w| is_stuck(w)) else { return Ok(None) };
    // What the pods themselves complain of is the nearer reason.
    let calm = pods::not_up(case)?.iter().all(|p| pods::starting(p));
    let confidence = if calm { Confidence::Proven } else { Confidence::Likely };
    let name = format!("deployment/{}", workload.meta.name);
    let proof = format!("{}: Progressing is False, ProgressDeadlineExceeded", workload.reference());
    let message = format!(
        "Service {} has no ready endpoint: the rollout of {} is stuck, and no pod of the new version gets ready.",
        case.service_name(),
        workload.reference()
    );
    Ok(CAUSE
        .finding(confidence, message)
        .object(&workload.reference(), "status.conditions")
        .states(proof.clone())
        .proof(case.failing_line(), proof)
        .fix("Go back to the version before, then find out why the new one does not get ready.")
        .command(format!("kubectl -n {} rollout undo {name}", workload.meta.namespace))
        .command(format!("kubectl -n {} rollout history {name}", workload.meta.namespace))
        .into())
}

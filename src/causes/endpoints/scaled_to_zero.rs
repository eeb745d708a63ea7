use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::Workload;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "scaled-to-zero",
    summary: "the workload behind the Service is scaled to zero",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The workload whose pods the Service selects wants zero pods, so there is nobody to call.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services. `kubectl get pods` shows nothing.

## How we know
Every workload whose pod template carries the Service's labels has `spec.replicas: 0`, and no pod is there.

## How to fix
Scale the workload up. If something scaled it down (an autoscaler, a night-time job), mend its rule as well.

## Looks like
`svc-selector-mismatch` has no workload under the selector; `quota-blocks-pods` and `pod-creation-rejected` want pods and get none.

## Limits
Who scaled it down stands in the object's managed fields, which are not read.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    if !case.has_no_ready_endpoint()? {
        return Ok(None);
    }
    let workloads = case.workloads()?;
    let idle = |w: &std::sync::Arc<Workload>| w.desired == 0;
    let (Some(first), true) = (workloads.first(), workloads.iter().all(idle)) else { return Ok(None) };
    if case.pods()?.iter().any(|p| !p.meta.deleting) {
        return Ok(None);
    }
    let name = first.reference().argument();
    Ok(CAUSE
        .finding(Confidence::Proven, format!("Service {} has nobody to call: {} is scaled to 0.", case.service_name(), first.reference()))
        .object(&first.reference(), "spec.replicas")
        .states(format!("{} has spec.replicas: 0", first.reference()))
        .proof(case.failing_line(), format!("{} has spec.replicas: 0 and no pods", first.reference()))
        .fix("Scale the workload up.")
        .command(format!("kubectl -n {} scale {name} --replicas=2", case.namespace()))
        .into())
}

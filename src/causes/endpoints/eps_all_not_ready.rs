use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "eps-all-not-ready",
    summary: "pods run behind the Service, but none is ready",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The Service's selector matches pods, and Kubernetes holds every one of them as not ready, so gateways have nobody to call.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services. Pods show `0/1 Running`.

## How we know
Every address in the Service's EndpointSlices has `conditions.ready: false`, and the pods' Ready condition says why.

## How to fix
Mend what the readiness probe reports: it is the messenger. The finding shows its target.

## Looks like
`svc-selector-mismatch` has no addresses at all; `svc-named-port-missing` has addresses without a port;
`readiness-probe-misconfigured` is this, where the application answers users and only the probe is wrong.

## Limits
Why the application is not ready stands in its own log.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    if !case.has_no_ready_endpoint()? {
        return Ok(None);
    }
    let pods: Vec<_> = case.pods()?.iter().filter(|p| !p.is_ready() && !p.meta.deleting).collect();
    let Some(first) = pods.first() else { return Ok(None) };
    let Some(service) = case.service_ref() else { return Ok(None) };
    let count = pods.len();
    let noun = if count == 1 { "its only pod is".to_owned() } else { format!("none of its {count} pods is") };
    let noun = if count == 1 { format!("{noun} not ready") } else { format!("{noun} ready") };
    let mut finding = CAUSE
        .finding(Confidence::Proven, format!("Service {} has no ready endpoint: {noun}.", service.key))
        .object(&first.reference(), "status.conditions")
        .object(&service, "")
        .proof(case.failing_line(), format!("{count} endpoints of Service {} are listed, none is ready", service.key))
        .fix("Mend what the readiness probe reports; the pod's log and events say why.")
        .command(format!("kubectl -n {} describe pod {}", first.meta.namespace, first.meta.name));
    for pod in pods.iter().take(3) {
        let reason = pod.condition("Ready").and_then(|c| c.message.clone()).unwrap_or_else(|| "no reason given".into());
        finding = finding.states(format!("{}: {reason}", pod.reference()));
    }
    Ok(finding.into())
}

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::Pod;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "publish-not-ready-addresses",
    summary: "the Service publishes pods that are not ready",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::Refused, Signature::ReadTimeout, Signature::Relayed],
    explains: &["app-binds-loopback", "app-never-answers", "app-returns-5xx", "app-wrong-port", "svc-targetport-wrong"],
    since: "0.1.0",
    docs: r"
## What it means
`publishNotReadyAddresses: true` makes Kubernetes list every pod as ready, whatever its readiness probe says. Gateways send requests to pods that cannot serve them yet, or no
longer.

## What you see
Connection refused, time-outs or errors for the share of pods that are not ready.

## How we know
The Service has the setting, and the endpoints that fail belong to pods whose own condition Ready is False.

## How to fix
Take the setting away. It is meant for peers that have to find each other before they are ready, such as a database's members; give those a headless Service of their own.

## Looks like
`eps-all-not-ready` without the setting: there gateways have nobody to call.

## Limits
Why the pods are not ready stands in their condition, which the finding shows.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(service) = case.service()?.filter(|s| s.publish_not_ready) else { return Ok(None) };
    let views = case.walked()?;
    let fails = |v: &&crate::causes::EndpointView<'_>| v.seen.signature().is_some();
    // A container that is in trouble of its own is a case for the causes of pods.
    let unready = |p: &Pod| !p.is_ready() && p.runs();
    let found: Vec<_> = views.iter().filter(fails).filter(|v| v.endpoint.pod.known().is_some_and(|p| unready(p))).collect();
    let Some(first) = found.first() else { return Ok(None) };
    let (Some(pod), Some(reference)) = (first.endpoint.pod.known(), case.service_ref()) else { return Ok(None) };
    let reason = pod.condition("Ready").and_then(|c| c.message.clone()).unwrap_or_else(|| "no reason given".into());
    let ready = views.iter().find(|v| v.seen.signature().is_none());
    let says = format!("{} is not ready: {reason}", pod.reference());
    Ok(CAUSE
        .finding(
            Confidence::Proven,
            format!("{reference} publishes pods that are not ready, and gateways call them in vain ({}).", case.share(found.len())),
        )
        .object(&reference, "spec.publishNotReadyAddresses")
        .object(&pod.reference(), "status.conditions")
        .saw(first.seen)
        .states(says.clone())
        .proof(first.seen.to_string(), ready.map_or(says, |v| v.seen.to_string()))
        .fix("Take publishNotReadyAddresses away, and let readiness decide who is called.")
        .command(format!(
            "kubectl -n {} patch service {} -p '{{\"spec\":{{\"publishNotReadyAddresses\":false}}}}'",
            service.meta.namespace, service.meta.name
        ))
        .into())
}

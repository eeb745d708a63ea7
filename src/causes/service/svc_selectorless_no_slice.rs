use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When, known};
use crate::probe::Signature;
use crate::snapshot::objects::ServiceType;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "svc-selectorless-no-slice",
    summary: "the Service has no selector, and nobody wrote endpoints for it",
    hop: Hop::Service,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint, Signature::Refused],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
A Service without a selector gets no endpoints by itself: somebody has to write an EndpointSlice for it. There is none, or it is empty.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services; connection refused at the Service's own address.

## How we know
The Service has no selector, is not of type ExternalName, and no EndpointSlice with its name in the label `kubernetes.io/service-name` holds an address.

## How to fix
Give the Service a selector, or write an EndpointSlice with that label and the Service port's name.

## Looks like
`svc-selector-mismatch` has a selector that matches nothing; `eps-manual-no-conditions` and `svc-port-unnamed-multi` have a slice that does not fit.

## Limits
Whether the endpoints were forgotten or deleted is not known.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(service) = case.service()? else { return Ok(None) };
    if service.selector.is_some() || service.service_type == ServiceType::ExternalName {
        return Ok(None);
    }
    if case.is_declared_only() {
        return Err(crate::causes::Missing::Fact("the files hold no EndpointSlice".into()));
    }
    let Some(slices) = known(&case.path.backend.slices, "the Service's EndpointSlices")? else { return Ok(None) };
    if slices.iter().any(|s| !s.endpoints.is_empty()) {
        return Ok(None);
    }
    let Some(reference) = case.service_ref() else { return Ok(None) };
    let namespace = &service.meta.namespace;
    let labels = case.path.backend.workloads.first().map(|w| &w.template_labels);
    // A workload of the Service's own name is what it most probably stands for.
    let workload = case.snapshot.workloads_in(namespace).find(|w| w.meta.name == service.meta.name && w.desired > 0);
    let mut finding = CAUSE
        .finding(
            Confidence::Proven,
            format!("{reference} has no selector and no EndpointSlice with an address, so there is nobody to call."),
        )
        .object(&reference, "spec.selector")
        .states(format!("{reference} has no selector; {} EndpointSlices belong to it", slices.len()))
        .proof(case.failing_line(), format!("{reference} has no selector and no endpoints"))
        .fix("Give the Service a selector, or write an EndpointSlice for it.");
    if let Some(labels) = labels.or(workload.map(|w| &w.template_labels)).filter(|l| !l.is_empty()) {
        let patch = serde_json::json!({"spec": {"selector": labels}});
        finding = finding.command(format!("kubectl -n {namespace} patch service {} -p '{patch}'", service.meta.name));
    }
    Ok(finding.command(format!("kubectl -n {namespace} get endpointslices -l kubernetes.io/service-name={}", service.meta.name)).into())
}

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "route-backend-service-missing",
    summary: "the route names a Service that does not exist",
    hop: Hop::Route,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint, Signature::NoRoute],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The rule that matches the request sends it to a Service, and no Service of that name exists in the route's namespace.

## What you see
Traefik answers 404, ingress-nginx, HAProxy and Contour answer 503. The gateway's log names the Service once, when it reads the rule.

## How we know
The API server has no Service of that name in the route's own namespace. A Service of the same name in another namespace, or one
with nearly the same name in this one, is named with the finding.

## How to fix
Correct the name in the route, or create the Service. A route's backend is always in the route's own namespace.

## Looks like
`route-backend-port-missing` (the Service exists, the port does not) and `svc-selector-mismatch` (both exist, nobody stands behind).
The look-up of the Service tells them apart.

## Limits
From manifest files alone the Service may exist in the cluster; the finding is then Likely.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    if case.service()?.is_some() {
        return Ok(None);
    }
    let Some(service) = case.service_ref() else { return Ok(None) };
    let confidence = if case.online { Confidence::Proven } else { Confidence::Likely };
    let missing = format!("Service {} does not exist", service.key);
    let mut finding = CAUSE
        .finding(
            confidence,
            format!("{} sends {} to Service {}, which does not exist.", case.target(), case.path.route.title(), service.key),
        )
        .object(case.target(), &format!("{}.backend.service.name", case.path.route.field))
        .object(&service, "")
        .states(&missing)
        .proof(case.failing_line(), missing)
        .command(format!("kubectl -n {} get services", service.key.namespace))
        .command(format!("kubectl -n {} edit ingress {}", case.namespace(), case.target().key.name));
    let near = nearest_name(case, &service.key.name);
    let summary = match &near {
        Some(name) => format!("Name an existing Service: did you mean {name}?"),
        None => format!("Create Service {}, or name an existing one: backends are looked up in the route's own namespace.", service.key),
    };
    for elsewhere in case.snapshot.services().filter(|s| s.meta.name == *service.key.name) {
        finding = finding.states(format!("a Service of that name exists in namespace {}", elsewhere.meta.namespace));
    }
    Ok(finding.fix(summary).into())
}

/// The Service of the namespace whose name is nearest, where it is near enough to be a slip.
fn nearest_name(case: &Case<'_>, wanted: &str) -> Option<String> {
    let names = case.snapshot.services_in(case.namespace()).map(|s| s.meta.name.to_string());
    let scored = names.map(|name| (strsim::osa_distance(&name, wanted), name));
    scored.filter(|(distance, name)| *distance <= 2 || name.contains(wanted) || wanted.contains(name.as_str())).min().map(|(_, name)| name)
}

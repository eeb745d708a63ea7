use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, FindingBuilder, Judgement, Missing, Platform, When, known};
use crate::path::Implementation;
use crate::probe::Signature;
use crate::snapshot::objects::{Ingress, Key, Kind, ObjectRef, ServiceType};

use super::rivals::DEFAULT_BACKEND;
use super::unserved;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "default-backend-broken",
    summary: "what no rule matches goes to a default backend that leads nowhere",
    hop: Hop::Route,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint, Signature::NoRoute, Signature::Relayed],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
Requests that no rule matches go to a default backend: that of the Ingress, or the gateway's own. It does not exist, has nobody behind it,
or the gateway does not read it.

## What you see
502 or 503 for mistyped hosts and paths, where a page or a plain 404 is meant; Traefik answers 404.

## How we know
The route is the Ingress' `spec.defaultBackend`, and its Service, port or endpoints are missing, or every endpoint fails when it is asked.
What is wrong with it is named below this finding. Traefik reads a default backend only of an Ingress without rules. For another route:
the gateway answers as for a host that nobody has, and the Service that its arguments name as default backend has no ready endpoint.

## How to fix
Mend the default backend, or take it out, so that the gateway answers 404 itself.

## Looks like
A rule whose backend is broken: there the request matches a rule. `route-host-mismatch`: the request was meant to match one.

## Limits
A gateway has one default backend, and which of several Ingresses gives it is the gateway's choice.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(ingress) = unserved::ingress_of(case)? else { return Ok(None) };
    if case.path.route.field == DEFAULT_BACKEND { of_ingress(case, &ingress) } else { of_gateway(case, &ingress) }
}

fn of_ingress(case: &Case<'_>, ingress: &Ingress) -> Judgement {
    let Some(service) = case.service_ref() else { return Ok(None) };
    let confidence = if case.online { Confidence::Proven } else { Confidence::Likely };
    let Some(state) = broken(case)? else { return unread(case, ingress, &service) };
    let states = format!("Service {} {state}", service.key);
    Ok(begin(
        case,
        confidence,
        &service,
        format!("What no rule of {} matches goes to its default backend, and Service {} {state}.", case.target(), service.key),
    )
    .states(&states)
    .proof(case.failing_line(), states)
    .fix("Mend the default backend, or take it out, so that the gateway answers what matches no rule.")
    .command(format!("kubectl -n {} get service,endpointslices -l kubernetes.io/service-name={}", service.key.namespace, service.key.name))
    .into())
}

fn begin(case: &Case<'_>, confidence: Confidence, service: &ObjectRef, message: String) -> FindingBuilder {
    CAUSE.finding(confidence, message).object(case.target(), DEFAULT_BACKEND).object(service, "")
}

/// Why the default backend leads nowhere.
fn broken(case: &Case<'_>) -> Result<Option<String>, Missing> {
    let Some(service) = case.service()? else { return Ok(Some("does not exist".into())) };
    let external = service.service_type == ServiceType::ExternalName;
    if case.service_port()?.is_none() && !external {
        let wanted = case.path.route.port.as_ref().map(ToString::to_string).unwrap_or_default();
        return Ok(Some(format!("has no port {wanted}")));
    }
    if external {
        return Ok(None);
    }
    if case.is_declared_only() {
        return Err(Missing::Fact("whether anybody stands behind it is not declared".into()));
    }
    if case.has_no_ready_endpoint()? {
        return Ok(Some("has no ready endpoint".into()));
    }
    let walked = case.walked()?;
    let fails = walked.iter().all(|v| v.seen.signature().is_some());
    Ok(walked.first().filter(|_| fails).map(|first| format!("is of no use: its endpoints fail ({})", first.seen.outcome_text())))
}

/// Traefik reads the default backend of an Ingress without rules alone.
fn unread(case: &Case<'_>, ingress: &Ingress, service: &ObjectRef) -> Judgement {
    let traefik = case.path.gateway.known().is_some_and(|g| g.implementation == Implementation::Traefik);
    if ingress.rules.is_empty() || !traefik {
        return Ok(None);
    }
    let Some(unserved) = unserved::of(case, ingress)? else { return Ok(None) };
    let reads = "Traefik reads spec.defaultBackend of an Ingress without rules alone";
    Ok(begin(case, Confidence::Proven, service, format!("{} has a default backend beside rules, and {reads}.", case.target()))
        .states(reads)
        .saw(unserved.answer)
        .saw(unserved.reference)
        .proof(unserved.answer.to_string(), format!("{}, the default backend's own endpoint", unserved.direct))
        .fix("Move the default backend into an Ingress of its own, without rules, or take it out.")
        .command(format!("kubectl -n {} edit ingress {}", case.namespace(), case.target().key.name))
        .into())
}

/// A route that is not served, where the gateway's own default backend has nobody behind it.
fn of_gateway(case: &Case<'_>, ingress: &Ingress) -> Judgement {
    let Some(named) = case.gateway()?.and_then(named_default) else { return Ok(None) };
    let Some(unserved) = unserved::of(case, ingress)? else { return Ok(None) };
    if unserved.answer.response().is_none_or(|r| r.status < 500) {
        return Ok(None);
    }
    let slices = case.snapshot.slices_of(&named);
    let Some(slices) = known(&slices, "the default backend's EndpointSlices")? else { return Ok(None) };
    if slices.iter().flat_map(|s| &s.endpoints).any(|e| e.ready.unwrap_or(true)) {
        return Ok(None);
    }
    let service = ObjectRef { kind: Kind::Service, key: named };
    let states = format!("the gateway's arguments name Service {} as its default backend, and it has no ready endpoint", service.key);
    let title = case.path.route.title();
    Ok(CAUSE
        .finding(
            Confidence::Likely,
            format!("The gateway knows no rule for {title}, and its default backend, Service {}, has no ready endpoint.", service.key),
        )
        .object(&service, "")
        .object(case.target(), &case.path.route.field)
        .states(&states)
        .saw(unserved.answer)
        .saw(unserved.reference)
        .proof(unserved.answer.to_string(), states)
        .fix("Mend the default backend, and see why the gateway has no rule for the route.")
        .command(format!(
            "kubectl -n {} get service,endpointslices -l kubernetes.io/service-name={}",
            service.key.namespace, service.key.name
        ))
        .into())
}

/// The Service that a gateway's arguments name as its default backend (ingress-nginx, HAProxy).
fn named_default(gateway: &crate::path::Gateway) -> Option<Key> {
    let arguments = gateway.pods.iter().flat_map(|p| p.containers.iter().flat_map(move |c| c.args.iter().map(move |a| (p, a))));
    arguments.into_iter().find_map(|(pod, argument)| {
        let value =
            argument.trim_start_matches('-').strip_prefix("default-backend-service=")?.replace("$(POD_NAMESPACE)", &pod.meta.namespace);
        value.split_once('/').map(|(namespace, name)| Key::new(namespace, name))
    })
}

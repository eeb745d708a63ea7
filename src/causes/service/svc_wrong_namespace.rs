use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When};
use crate::path::dns;
use crate::probe::{Outcome, Signature};
use crate::snapshot::objects::{Key, Kind, Labels, ObjectRef, PortRef, Service};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "svc-wrong-namespace",
    summary: "the Service that is meant stands in another namespace",
    hop: Hop::Service,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::DnsFail, Signature::NoEndpoint],
    explains: &["dns-nxdomain-typo", "route-backend-service-missing", "svc-externalname-unresolvable"],
    since: "0.1.0",
    docs: r"
## What it means
A short name is looked up where the caller stands. An Ingress finds Services of its own namespace alone, and an ExternalName without a namespace is looked up in the gateway's.
The Service of that name is elsewhere.

## What you see
404 or 503 as for a Service that does not exist, or 502 for a name that does not resolve.

## How we know
The name leads nowhere as it is used. A Service of exactly that name stands in one other namespace, with the port that is asked for; an ExternalName resolves once its namespace
is added.

## How to fix
Move the Ingress to the Service's namespace, or stand an ExternalName Service with the full name, `service.namespace.svc.cluster.local`, beside it.

## Looks like
`route-backend-service-missing`: no Service of that name is near, or this namespace has pods of that name and only the Service is gone.

## Limits
That the Service of the same name is the one that is meant is an inference from the name; for an Ingress the finding is Likely.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    match case.service()? {
        Some(service) => external(case, service),
        None => ingress(case),
    }
}

/// An ExternalName that is a bare Service name.
fn external(case: &Case<'_>, service: &Service) -> Judgement {
    let Some(name) = service.external_name.as_deref().map(|n| n.trim_end_matches('.')).filter(|n| !n.is_empty() && !n.contains('.')) else {
        return Ok(None);
    };
    let Some(reference) = case.service_ref() else { return Ok(None) };
    let Some(gateway) = case.gateway()? else { return Ok(None) };
    let as_used = case.ask(case.resolve(&dns::name_of(&Key::new(&gateway.service.meta.namespace, name))))?;
    if !matches!(as_used.outcome, Outcome::NotResolved(_)) {
        return Ok(None);
    }
    let meant = Key::new(&service.meta.namespace, name);
    if case.snapshot.service(&meant).known().is_none() {
        return Ok(None);
    }
    let full = dns::name_of(&meant);
    let passing = case.ask(case.resolve(&full))?;
    if !matches!(passing.outcome, Outcome::Resolved(_)) {
        return Ok(None);
    }
    let message =
        format!("{reference} stands for the short name {name}, which the gateway looks up in its own namespace; the Service is {meant}.");
    let patch = serde_json::json!({"spec": {"externalName": full}});
    Ok(CAUSE
        .finding(Confidence::Proven, message)
        .object(&reference, "spec.externalName")
        .saw(as_used)
        .saw(passing)
        .proof(as_used.to_string(), passing.to_string())
        .fix(format!("Write the whole name: {full}."))
        .command(format!("kubectl -n {} patch service {} -p '{patch}'", service.meta.namespace, service.meta.name))
        .into())
}

/// An Ingress whose backend exists in one other namespace alone.
fn ingress(case: &Case<'_>) -> Judgement {
    let (Some(wanted), Some(port)) = (&case.path.route.service, &case.path.route.port) else { return Ok(None) };
    if case.target().kind != Kind::Ingress || case.is_declared_only() {
        return Ok(None);
    }
    if case.snapshot.holds_all(Kind::Service).known().is_none() {
        return Err(Missing::Fact("Services of other namespaces could not be looked up".into()));
    }
    let has_port = |s: &Service| {
        s.ports.iter().any(|p| match port {
            PortRef::Number(number) => p.port == *number,
            PortRef::Name(name) => p.name.as_ref() == Some(name),
        })
    };
    let meant = |s: &Service| *s.meta.name == *wanted.name && *s.meta.namespace != *wanted.namespace && has_port(s);
    let elsewhere: Vec<_> = case.snapshot.services().filter(|s| meant(s)).collect();
    let [only] = elsewhere.as_slice() else { return Ok(None) };
    if is_at_home(case, wanted) {
        return Ok(None);
    }
    let there = only.meta.key();
    let slices = case.snapshot.slices_of(&there);
    let serves = slices.known().is_some_and(|s| s.iter().flat_map(|s| &s.endpoints).any(|e| e.ready.unwrap_or(true)));
    if !serves {
        return Ok(None);
    }
    let full = dns::name_of(&there);
    let message = format!(
        "{} sends to Service {wanted}, which does not exist; a Service {} stands in namespace {}, where an Ingress of {} cannot reach.",
        case.target(),
        wanted.name,
        there.namespace,
        wanted.namespace
    );
    Ok(CAUSE
        .finding(Confidence::Likely, message)
        .object(case.target(), &format!("{}.backend.service.name", case.path.route.field))
        .object(&ObjectRef { kind: Kind::Service, key: there.clone() }, "")
        .states(format!("Service/{wanted} does not exist, Service/{there} does"))
        .proof(case.failing_line(), format!("Service/{there} exists, has the port, and has ready endpoints"))
        .fix(format!("Move the Ingress to namespace {}, or stand a Service of type ExternalName for {full} beside it.", there.namespace))
        .command(format!("kubectl -n {} create service externalname {} --external-name {full} --tcp={port}", wanted.namespace, wanted.name))
        .into())
}

/// Whether the namespace itself has something of that name, so that only its Service is gone.
fn is_at_home(case: &Case<'_>, wanted: &Key) -> bool {
    let named = |name: &str, labels: &Labels| name.starts_with(&*wanted.name) || labels.values().any(|v| **v == *wanted.name);
    case.snapshot.workloads_in(&wanted.namespace).any(|w| named(&w.meta.name, &w.template_labels))
        || case.snapshot.pods_in(&wanted.namespace).any(|p| named(&p.meta.name, &p.meta.labels))
}

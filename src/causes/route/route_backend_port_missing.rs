use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::{PortRef, Service, ServiceType};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "route-backend-port-missing",
    summary: "the route names a port that the Service does not have",
    hop: Hop::Route,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint, Signature::NoRoute],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The rule names a Service that exists, and a port number or name that is not among the Service's own ports.

## What you see
Traefik answers 404, ingress-nginx and Contour 503, though the Service's endpoints are ready.

## How we know
The named port is in none of the Service's `spec.ports[].port` and `spec.ports[].name`. Where it equals a `targetPort`, the
container's port was written where the Service's belongs, and the finding says so.

## How to fix
Write the Service's port into the route.

## Looks like
`eps-all-not-ready` and `svc-named-port-missing` give the same answer at the gateway; here the endpoints are ready and have ports.

## Limits
None known.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let (Some(service), Some(wanted)) = (case.service()?, &case.path.route.port) else { return Ok(None) };
    // Gateways reach an ExternalName by its name; whether they also want the port listed differs, so it is no fault by itself.
    if case.service_port()?.is_some() || service.service_type == ServiceType::ExternalName {
        return Ok(None);
    }
    let key = service.meta.key();
    let has = ports(service);
    let mut finding = CAUSE
        .finding(
            Confidence::Proven,
            format!("{} sends {} to port {wanted} of Service {key}, which has {has}.", case.target(), case.path.route.title()),
        )
        .object(case.target(), &format!("{}.backend.service.port", case.path.route.field))
        .object(&crate::snapshot::objects::ObjectRef { kind: crate::snapshot::objects::Kind::Service, key: key.clone() }, "spec.ports")
        .states(format!("Service {key} has {has}"))
        .proof(case.failing_line(), format!("Service {key} has {has}, not port {wanted}"))
        .command(format!("kubectl -n {} edit ingress {}", case.namespace(), case.target().key.name));
    let target = service.ports.iter().find(|p| p.target == *wanted);
    if let Some(port) = target {
        finding = finding.states(format!("{wanted} is the container's port (targetPort) behind port {}", port.port));
    }
    let summary = match target.or_else(|| service.ports.first().filter(|_| service.ports.len() == 1)) {
        Some(port) => format!("Write port {} into the route.", PortRef::Number(port.port)),
        None => "Write one of the Service's ports into the route.".to_owned(),
    };
    Ok(finding.fix(summary).into())
}

/// `port 80 (http)`, `ports 80, 443` or `no ports`.
fn ports(service: &Service) -> String {
    let list: Vec<String> =
        service.ports.iter().map(|p| p.name.as_ref().map_or_else(|| p.port.to_string(), |name| format!("{} ({name})", p.port))).collect();
    match list.as_slice() {
        [] => "no ports".into(),
        [one] => format!("port {one}"),
        many => format!("ports {}", many.join(", ")),
    }
}

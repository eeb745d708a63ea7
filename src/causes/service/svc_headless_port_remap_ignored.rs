use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When, known};
use crate::path::dns::service_named;
use crate::probe::Signature;
use crate::snapshot::objects::{PortRef, Service};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "svc-headless-port-remap-ignored",
    summary: "the Service's name leads to a headless Service, which does not translate ports",
    hop: Hop::Service,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::Refused],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The route's Service stands for the DNS name of a headless Service. That name resolves to the pods themselves, so the port that is asked for is the pods' port: nothing turns the
Service's port into the targetPort.

## What you see
Connection refused: 502 on Traefik, nginx and Caddy, 503 on HAProxy, Envoy and Apache.

## How we know
The name is that of a Service with `clusterIP: None` whose port and targetPort differ; a pod refuses the one and answers on the other.

## How to fix
Ask for the targetPort, or make port and targetPort of the headless Service equal.

## Looks like
`svc-targetport-wrong` is a wrong number; here both numbers are right, and one is not used.

## Limits
Only names that end in `.svc` and the cluster's domain are followed.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let (Some(service), Some(port)) = (case.service()?, case.service_port()?) else { return Ok(None) };
    let Some(key) = service.external_name.as_deref().and_then(service_named) else { return Ok(None) };
    let headless = case.snapshot.service(&key);
    let Some(headless) = known(&headless, "the Service that the name stands for")? else { return Ok(None) };
    let Some(target) = target(headless, port.port) else { return Ok(None) };
    let Some(reference) = case.service_ref() else { return Ok(None) };
    let Some(address) = case.external()?.into_iter().next() else { return Ok(None) };
    let failing = case.ask(case.request_to(address, case.path.backend.scheme))?;
    if failing.signature() != Some(Signature::Refused) {
        return Ok(None);
    }
    let passing = case.ask(case.request_to(std::net::SocketAddr::new(address.ip(), target), case.path.backend.scheme))?;
    if passing.response().is_none() {
        return Ok(None);
    }
    let index = service.ports.iter().position(|p| p == port).unwrap_or_default();
    let patch = format!(r#"[{{"op":"replace","path":"/spec/ports/{index}/port","value":{target}}}]"#);
    let message = format!(
        "{reference} stands for the headless Service {key}, whose port {} is not translated to {target}: requests go to port {} of the pods.",
        port.port, port.port
    );
    Ok(CAUSE
        .finding(Confidence::Proven, message)
        .object(&reference, "spec.ports[].port")
        .saw(failing)
        .saw(passing)
        .states(format!("Service/{key} has clusterIP: None, port {} and targetPort {target}", port.port))
        .proof(failing.to_string(), passing.to_string())
        .fix(format!("Send to port {target}, here and in the route, or name a Service with an address of its own."))
        .command(format!("kubectl -n {} patch service {} --type=json -p '{patch}'", service.meta.namespace, service.meta.name))
        .into())
}

/// The pods' port behind a port of a headless Service, where it is another number.
fn target(headless: &Service, port: u16) -> Option<u16> {
    let of_port = headless.ports.iter().find(|p| p.port == port).filter(|_| headless.headless);
    match of_port.map(|p| &p.target) {
        Some(PortRef::Number(number)) if *number != port => Some(*number),
        _ => None,
    }
}

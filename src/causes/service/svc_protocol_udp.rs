use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::Transport;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "svc-protocol-udp",
    summary: "the Service's port is not TCP, which HTTP gateways need",
    hop: Hop::Service,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint, Signature::ConnTimeout, Signature::Refused],
    explains: &["eps-all-not-ready", "svc-named-port-missing", "svc-selector-mismatch"],
    since: "0.1.0",
    docs: r"
## What it means
The port that the route names is declared as UDP or SCTP. Gateways speak HTTP to their backends over TCP and pass such a port over.

## What you see
503 or 404, as without any endpoint; connection refused at the Service's own address.

## How we know
The Service's port has `protocol: UDP` or `SCTP`, and no TCP port of the same number is beside it.

## How to fix
Declare the port as TCP; for HTTP/3 declare both, under two names.

## Looks like
`route-backend-port-missing` has no port of that number or name at all.

## Limits
None known.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let (Some(service), Some(port)) = (case.service()?, case.service_port()?) else { return Ok(None) };
    if port.transport == Transport::Tcp {
        return Ok(None);
    }
    let Some(reference) = case.service_ref() else { return Ok(None) };
    let index = service.ports.iter().position(|p| p == port).unwrap_or_default();
    let field = format!("spec.ports[{index}].protocol");
    let says = format!("port {} of {reference} is {}", port.port, port.transport);
    let patch = format!(r#"[{{"op":"replace","path":"/spec/ports/{index}/protocol","value":"TCP"}}]"#);
    Ok(CAUSE
        .finding(
            Confidence::Proven,
            format!("The route sends HTTP to port {} of {reference}, which is declared as {}.", port.port, port.transport),
        )
        .object(&reference, &field)
        .states(says.clone())
        .proof(case.failing_line(), says)
        .fix("Declare the port as TCP, beside the other where both are served.")
        .command(format!("kubectl -n {} patch service {} --type=json -p '{patch}'", service.meta.namespace, service.meta.name))
        .into())
}

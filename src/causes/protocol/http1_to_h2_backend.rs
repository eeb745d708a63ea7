use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::path::Implementation;
use crate::probe::{Scheme, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "http1-to-h2-backend",
    summary: "the gateway speaks HTTP/1.1 to pods that speak HTTP/2 only",
    hop: Hop::Protocol,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::H1ToH2, Signature::EofEarly, Signature::RstEarly],
    explains: &["app-closes-connection", "app-never-answers", "app-not-http-on-port"],
    since: "0.1.0",
    docs: r"
## What it means
The pods are an HTTP/2 server that expects HTTP/2 from the first byte, as gRPC servers do. Nothing tells the gateway, so it speaks HTTP/1.1.

## What you see
500 on Traefik (`malformed HTTP response`), 502 on HAProxy, Envoy, Apache and Caddy; nginx passes raw bytes on.

## How we know
The gateway's own request is answered with an HTTP/2 frame, or the pods hang up on it; the same request as HTTP/2 is answered.

## How to fix
Tell the gateway to speak HTTP/2 (gRPC) to this Service; the finding has the annotation. Or let the pods serve HTTP/1.1 as well.

## Looks like
`svc-appprotocol-mismatch`: there the Service declares a protocol that the pods do not speak. `app-closes-connection` hangs up on HTTP/2 too.

## Limits
A gRPC server may refuse a plain GET inside HTTP/2; its first frame is what remains then, and the finding is Likely.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    const SHOWS: &[Signature] = &[Signature::H1ToH2, Signature::EofEarly, Signature::RstEarly, Signature::TlsAlert];
    let version2 = match case.path.backend.scheme {
        Scheme::Http => Scheme::H2c,
        Scheme::Https => Scheme::H2,
        Scheme::H2c | Scheme::H2 => return Ok(None),
    };
    // A protocol that the Service itself declares, wrongly, is the Service's fault.
    if case.path.backend.scheme_from.as_ref().is_some_and(|(_, field)| field.ends_with("appProtocol")) {
        return Ok(None);
    }
    let views = case.walked_with(SHOWS)?;
    let Some(first) = views.first() else { return Ok(None) };
    let Some(to) = first.endpoint.socket() else { return Ok(None) };
    let answer = case.ask(case.request_to(to, version2))?;
    let answered = answer.response().is_some();
    let confidence = match (answered, first.seen.signature()) {
        (true, _) => Confidence::Proven,
        (false, Some(Signature::H1ToH2)) => Confidence::Likely,
        (false, _) => return Ok(None),
    };
    let passing = if answered { answer.to_string() } else { format!("{}: its first bytes are an HTTP/2 frame", first.seen.probe) };
    let message = format!(
        "The pods of Service {} speak HTTP/2 only on port {}, and the gateway speaks HTTP/1.1 to them ({}).",
        case.service_name(),
        to.port(),
        case.share(views.len())
    );
    let mut finding = CAUSE.finding(confidence, message).saw(first.seen).saw(answer).proof(first.seen.to_string(), passing);
    if let Some(service) = case.service_ref() {
        finding = finding.object(&service, "metadata.annotations");
    }
    let (summary, command) = fix(case, version2);
    Ok(finding.fix(summary).command(command).into())
}

fn fix(case: &Case<'_>, version2: Scheme) -> (String, String) {
    let (namespace, ingress) = (case.namespace(), &case.target().key.name);
    let service = case.path.route.service.as_ref().map(|s| s.name.to_string()).unwrap_or_default();
    let (name, value) = match (case.path.gateway.known().map(|g| g.implementation), version2.is_tls()) {
        (Some(Implementation::Traefik), false) => ("service", "traefik.ingress.kubernetes.io/service.serversscheme=h2c"),
        (Some(Implementation::Nginx), false) => ("ingress", "nginx.ingress.kubernetes.io/backend-protocol=GRPC"),
        (Some(Implementation::Nginx), true) => ("ingress", "nginx.ingress.kubernetes.io/backend-protocol=GRPCS"),
        _ => {
            let summary =
                "Declare the port's appProtocol as kubernetes.io/h2c where the gateway reads it, or set the gateway's own switch.";
            return (summary.into(), format!("kubectl -n {namespace} edit service {service}"));
        }
    };
    let object = if name == "service" { service } else { ingress.to_string() };
    let summary = format!("Tell the gateway to speak HTTP/2 to this {}.", if name == "service" { "Service" } else { "route's backend" });
    (summary, format!("kubectl -n {namespace} annotate {name} {object} {value}"))
}

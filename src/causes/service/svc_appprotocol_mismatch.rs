use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::{Scheme, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "svc-appprotocol-mismatch",
    summary: "the Service declares a protocol that its pods do not speak",
    hop: Hop::Service,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::H2ToH1, Signature::H1ToH2, Signature::TlsToPlain, Signature::PlainToTls],
    explains: &["app-closes-connection", "app-never-answers", "backend-tls-on-gateway-plain-pod", "backend-plain-to-tls-pod"],
    since: "0.1.0",
    docs: r"
## What it means
`appProtocol`, or an annotation that stands for it, tells the gateway to speak HTTP/2, HTTPS or gRPC to the pods. They speak another protocol.

## What you see
500 on Traefik, 502 on nginx and Caddy, 503 on HAProxy and Envoy, at once.

## How we know
The request in the declared protocol fails at the endpoints, and the same request in another one is answered.

## How to fix
Declare what the pods speak.

## Looks like
`backend-tls-on-gateway-plain-pod` where the name or number of the port makes the gateway speak HTTPS; `http1-to-h2-backend` where nothing is declared and the pods want HTTP/2.

## Limits
Gateways that do not read `appProtocol`, Traefik for an Ingress among them, are not troubled by it, and neither is this.
",
    check,
};

const SHOWS: &[Signature] = &[
    Signature::H2ToH1,
    Signature::H1ToH2,
    Signature::TlsToPlain,
    Signature::EofEarly,
    Signature::RstEarly,
    Signature::ReadTimeout,
    Signature::HdrBad,
];

fn check(case: &Case<'_>) -> Judgement {
    let Some((object, field)) = &case.path.backend.scheme_from else { return Ok(None) };
    let declared = case.path.backend.scheme;
    let http2 = matches!(declared, Scheme::H2c | Scheme::H2);
    // HTTPS that an annotation or a port's name asks for is a matter of the gateway; only what the Service declares is one of this.
    if !http2 && !field.ends_with("appProtocol") {
        return Ok(None);
    }
    let views = case.walked_with(SHOWS)?;
    let Some(first) = views.first() else { return Ok(None) };
    let Some(to) = first.endpoint.socket() else { return Ok(None) };
    let others: &[Scheme] = match declared {
        Scheme::Http => &[Scheme::Https, Scheme::H2c],
        Scheme::Https => &[Scheme::Http, Scheme::H2c],
        Scheme::H2c => &[Scheme::Http, Scheme::H2],
        Scheme::H2 => &[Scheme::Https, Scheme::H2c, Scheme::Http],
    };
    let answers = case.ask_all(others.iter().map(|s| case.request_to(to, *s)).collect())?;
    let Some((spoken, answer)) =
        others.iter().find_map(|s| answers.iter().find(|o| o.probe == case.request_to(to, *s) && o.response().is_some()).map(|o| (s, o)))
    else {
        return Ok(None);
    };
    let message =
        format!("{field} of {object} makes the gateway speak {declared} to the pods, which speak {spoken} ({}).", case.share(views.len()));
    Ok(CAUSE
        .finding(Confidence::Proven, message)
        .object(object, field)
        .saw(first.seen)
        .saw(answer)
        .proof(first.seen.to_string(), answer.to_string())
        .fix(format!("Declare what the pods speak: {spoken}."))
        .command(object.kubectl("edit"))
        .into())
}

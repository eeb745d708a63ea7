use crate::api::{Confidence, Hop, Severity};
use crate::causes::remedy::Change;
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Scheme;
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "backend-tls-on-gateway-plain-pod",
    summary: "the gateway speaks HTTPS to pods that serve plain HTTP",
    hop: Hop::Protocol,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::TlsToPlain, Signature::ReadTimeout],
    explains: &["app-never-answers", "app-closes-connection"],
    since: "0.1.0",
    docs: r"
## What it means
An annotation, a port name or number, or an appProtocol makes the gateway start TLS towards pods that speak plain HTTP.

## What you see
Traefik and Apache answer 500, nginx 502 (504 where the pod just waits), HAProxy and Envoy 503.

## How we know
The gateway's own request meets plain text, or silence, in the TLS handshake; the same request in plain text is answered.

## How to fix
Take away what makes the gateway speak HTTPS; the finding names the field. Or let the pods serve TLS.

## Looks like
`app-never-answers`: with a pod that waits for a line end the handshake only times out. The plain request decides.

## Limits
The gateway's own configuration file may ask for HTTPS without an object saying so; that is not seen.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    const SHOWS: &[Signature] = &[Signature::TlsToPlain, Signature::ReadTimeout, Signature::EofEarly, Signature::RstEarly];
    let scheme = case.path.backend.scheme;
    if !scheme.is_tls() {
        return Ok(None);
    }
    let views = case.walked_with(SHOWS)?;
    let Some(first) = views.first() else { return Ok(None) };
    let Some(to) = first.endpoint.socket() else { return Ok(None) };
    let plain = if scheme == Scheme::H2 { Scheme::H2c } else { Scheme::Http };
    let answer = case.ask(case.request_to(to, plain))?;
    let Some(response) = answer.response() else { return Ok(None) };
    if crate::evidence::pages::wants_tls(response) {
        return Ok(None);
    }
    let why = case.path.backend.scheme_from.as_ref();
    let because = why.map(|(object, field)| format!(", because of {field} of {object}")).unwrap_or_default();
    let message = format!(
        "The gateway speaks {scheme} to {}{because}, but the {} serve plain HTTP ({}).",
        case.backend_name(),
        case.members(),
        case.share(views.len())
    );
    let mut finding =
        CAUSE.finding(Confidence::Proven, message).saw(first.seen).saw(answer).proof(first.seen.to_string(), answer.to_string());
    finding = match why {
        Some((object, field)) => finding.object(object, field),
        None => finding.backend(case, "metadata.annotations"),
    };
    Ok(finding.remedy(Change::SpeakPlain.at(case)).into())
}

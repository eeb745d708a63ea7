use crate::api::{Confidence, Hop, Severity};
use crate::causes::remedy::Change;
use crate::causes::{Case, Cause, EndToEnd, EndpointView, Judgement, Platform, When};
use crate::evidence::pages;
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "backend-mtls-required",
    summary: "the pods demand a client certificate that the gateway does not show",
    hop: Hop::Protocol,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Everywhere,
    signatures: &[Signature::TlsAlert, Signature::EofEarly, Signature::RstEarly],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The pods speak TLS and ask for a client certificate, and turn away who has none. The gateway has none for them.

## What you see
502 on Traefik, nginx and Caddy; HAProxy 503 with TLS 1.2 and 502 with TLS 1.3, which moves the refusal from the handshake to the first read.
nginx inside the pods answers 400 with a text about the certificate, which is no 5xx.

## How we know
The pods ask for a certificate in the handshake, and end the connection with an alert, or answer with that text, when none comes.

## How to fix
Give the gateway a client certificate for these backends. Or let the pods ask without insisting, where the network keeps others out.

## Looks like
A crash or `app-closes-connection`: without the request for a certificate. Pods that ask for a certificate and answer without one are at work.

## Limits
There is no certificate to try with. Where the connection just ends after the request for one, the finding is Likely.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    if !case.path.backend.scheme.is_tls() {
        return Ok(None);
    }
    // The same text may come from a gateway that wants certificates of its own clients; the pods' own answer decides.
    let complains = case.answers().any(|o| o.response().is_some_and(pages::wants_certificate));
    if *case.end_to_end == EndToEnd::Works && !complains {
        return Ok(None);
    }
    let views: Vec<EndpointView<'_>> = case.walked()?.into_iter().filter(|v| strength(v).is_some()).collect();
    let Some((first, confidence)) = views.first().and_then(|v| Some((v, strength(v)?))) else { return Ok(None) };
    let through = case.answers().find(|o| o.response().is_some_and(pages::wants_certificate));
    let message =
        format!("The {} demand a client certificate, and the gateway shows none ({}).", case.members_name(), case.share(views.len()));
    let mut finding = CAUSE
        .finding(confidence, message)
        .saw(first.seen)
        .proof(through.map_or_else(|| case.failing_line(), ToString::to_string), first.seen.to_string());
    finding = finding.backend(case, "metadata.annotations");
    Ok(finding.remedy(Change::ShowCertificate.at(case)).into())
}

/// How sure it is that an endpoint turns away who has no certificate; nothing where it does not.
fn strength(view: &EndpointView<'_>) -> Option<Confidence> {
    match view.seen.signature() {
        _ if view.seen.response().is_some_and(pages::wants_certificate) => Some(Confidence::Proven),
        Some(Signature::TlsAlert) if view.seen.wants_client_certificate() => Some(Confidence::Proven),
        Some(Signature::EofEarly | Signature::RstEarly) if view.seen.wants_client_certificate() => Some(Confidence::Likely),
        _ => None,
    }
}

use crate::api::{Confidence, Hop, Severity};
use crate::causes::remedy::Change;
use crate::causes::{Case, Cause, Judgement, Platform, When};
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
        "The {} speak HTTP/2 only on port {}, and the gateway speaks HTTP/1.1 to them ({}).",
        case.members_name(),
        to.port(),
        case.share(views.len())
    );
    let mut finding = CAUSE.finding(confidence, message).saw(first.seen).saw(answer).proof(first.seen.to_string(), passing);
    finding = finding.backend(case, "metadata.annotations");
    Ok(finding.remedy(Change::SpeakHttp2 { tls: version2.is_tls() }.at(case)).into())
}

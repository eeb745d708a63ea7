use crate::api::Finding;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::remedy::Change;
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::causes::{EndpointView, Missing};
use crate::evidence::pages;
use crate::probe::Signature;
use crate::probe::{Observation, Probe, Question, Scheme};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "backend-plain-to-tls-pod",
    summary: "the gateway speaks plain HTTP to a port that wants TLS",
    hop: Hop::Protocol,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::PlainToTls, Signature::RstEarly, Signature::EofEarly],
    explains: &["app-closes-connection", "app-never-answers", "app-not-http-on-port"],
    since: "0.1.0",
    docs: r"
## What it means
The pods serve HTTPS, and the gateway sends them plain requests.

## What you see
Often a 400 with a text about HTTPS, which is no 5xx; 502 or 500 where the server answers with a TLS alert or hangs up.

## How we know
The gateway's own request fails or is answered with the complaint of a TLS server; the same address completes a TLS handshake, and answers the request inside it.

## How to fix
Tell the gateway to speak HTTPS to this Service, or let the pods serve plain HTTP.

## Looks like
`app-closes-connection` hangs up on everything; here the TLS handshake succeeds.

## Limits
Whether the gateway will trust the pods' certificate is another question.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    if case.path.backend.scheme.is_tls() {
        return Ok(None);
    }
    let views = case.walked()?;
    let suspects: Vec<_> = views.iter().filter(|v| turns_plain_text_away(v.seen)).collect();
    let Some(first) = suspects.first() else { return Ok(None) };
    let Some((shake, answer)) = speaks_tls(case, first)? else { return Ok(None) };
    Ok(Some(finding(case, first, suspects.len(), shake, answer)))
}

fn turns_plain_text_away(seen: &Observation) -> bool {
    const SIGNATURES: &[Signature] = &[Signature::PlainToTls, Signature::RstEarly, Signature::EofEarly, Signature::ReadTimeout];
    seen.signature().is_some_and(|s| SIGNATURES.contains(&s)) || seen.response().is_some_and(pages::wants_tls)
}

/// A handshake that succeeds, and the request inside it.
fn speaks_tls<'a>(case: &Case<'a>, view: &EndpointView<'_>) -> Result<Option<(&'a Observation, &'a Observation)>, Missing> {
    let Some(to) = view.endpoint.socket() else { return Ok(None) };
    let question = Question::Handshake { to, server_name: case.path.route.asked_host(), alpn: vec!["http/1.1".into()] };
    let shake = case.ask(Probe { timeout: case.timeout, ..Probe::new(question) })?;
    // An alert is TLS as well: the server speaks it and wants something else in it, such as a client certificate or another name.
    if !matches!(shake.outcome, crate::probe::Outcome::TlsEstablished(_)) && shake.signature() != Some(Signature::TlsAlert) {
        return Ok(None);
    }
    let answer = case.ask(case.request_to(to, Scheme::Https))?;
    Ok(Some((shake, answer)))
}

fn finding(case: &Case<'_>, first: &EndpointView<'_>, count: usize, shake: &Observation, answer: &Observation) -> Finding {
    let answered = answer.response().is_some();
    let confidence = if answered { Confidence::Proven } else { Confidence::Likely };
    let passing = if answered { answer } else { shake };
    let message = format!(
        "The {} serve TLS on port {}, but the gateway sends them plain HTTP ({}).",
        case.members_name(),
        first.endpoint.port.unwrap_or_default(),
        case.share(count)
    );
    let mut finding =
        CAUSE.finding(confidence, message).saw(first.seen).saw(shake).saw(answer).proof(first.seen.to_string(), passing.to_string());
    finding = finding.backend(case, "metadata.annotations");
    finding.remedy(Change::SpeakTls.at(case)).build()
}

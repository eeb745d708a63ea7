use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Scheme;
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "app-closes-connection",
    summary: "the application accepts requests and hangs up without an answer",
    hop: Hop::Application,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::EofEarly, Signature::RstEarly],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The application accepts the connection, reads the request, and closes or resets it without a word, while its process goes on running.

## What you see
502 on most gateways, 503 on Envoy.

## How we know
The gateway's request, put to the pod directly, ends in the same way; a TLS handshake and HTTP/2 with prior knowledge fail as well, and no container restarts.

## How to fix
Read the application's log of that second: allowed hosts, address filters, a PROXY protocol header that it waits for, another protocol.

## Looks like
The last resort of its signature: a TLS server (`backend-plain-to-tls-pod`), an HTTP/2 server (`http1-to-h2-backend`) and a crash (`crash-loop`) hang up too, and are excluded first.

## Limits
Why it hangs up stands in its log, which is not read.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    if case.path.backend.scheme != Scheme::Http {
        return Ok(None);
    }
    let views = case.walked_with(&[Signature::EofEarly, Signature::RstEarly])?;
    let Some(first) = views.first() else { return Ok(None) };
    let Some(to) = first.endpoint.socket() else { return Ok(None) };
    let others = case.ask_all(vec![case.request_to(to, Scheme::Https), case.request_to(to, Scheme::H2c)])?;
    let answers = |o: &&crate::probe::Observation| o.response().is_some() || o.signature() == Some(Signature::TlsAlert);
    if others.iter().any(answers) {
        return Ok(None);
    }
    let restarting = first.endpoint.pod.known().is_some_and(|p| p.containers.iter().any(|c| c.restarts > 0 && !c.ready));
    if restarting {
        return Ok(None);
    }
    let message = format!(
        "The {} accept requests and hang up without an answer: {} ({}).",
        case.members_name(),
        first.seen.outcome_text(),
        case.share(views.len())
    );
    let mut finding = CAUSE.finding(Confidence::Proven, message).saw(first.seen).proof(case.failing_line(), first.seen.to_string());
    for other in others {
        finding = finding.saw(other);
    }
    finding = finding.read_log_of(first);
    Ok(finding
        .fix("Read the application's log of that second: allowed hosts, address filters, or another protocol that it waits for.")
        .into())
}

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "app-returns-5xx",
    summary: "the application itself answers with a server error",
    hop: Hop::Application,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::Relayed],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The gateway passes the request on and the answer back; the application made the error.

## What you see
The same status through the gateway and directly: 500, 502, 503 or 504.

## How we know
The pod, asked directly, answers the same request with a server error, and the page is none that a proxy makes.

## How to fix
Mend the application; its log has the error. The gateway is not at fault.

## Looks like
`nested-gateway-502`: a proxy inside the pod made the page. `eps-all-not-ready`: the gateway made a 503 because nobody is ready.

## Limits
An application that fails only with a login or a body is not seen by a plain GET.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let views = case.walked_with(&[Signature::Relayed])?;
    let own = |v: &&crate::causes::EndpointView<'_>| v.seen.response().is_some_and(|r| crate::evidence::pages::error_page_of(r).is_none());
    let found: Vec<_> = views.iter().filter(own).collect();
    let Some(first) = found.first() else { return Ok(None) };
    let status = first.seen.response().map(|r| r.status).unwrap_or_default();
    let relayed = case.failures.iter().find(|f| f.response().is_some_and(|r| r.status == status));
    let confidence = if relayed.is_some() { Confidence::Proven } else { Confidence::Likely };
    let through = relayed.map_or_else(|| case.failing_line(), ToString::to_string);
    let message = format!("The application behind {} itself answers {status} ({}).", case.backend_name(), case.share(found.len()));
    let mut finding = CAUSE.finding(confidence, message).saw(first.seen).proof(through, first.seen.to_string());
    finding = finding.read_log_of(first);
    Ok(finding.fix("Mend the application: its log has the error.").into())
}

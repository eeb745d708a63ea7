use crate::api::{Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When, undelivered};
use crate::probe::{HeadFault, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "cl-te-conflict-rejected",
    summary: "the application says twice where its body ends, and the gateway refuses that",
    hop: Hop::Protocol,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::HdrBad],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The response has Content-Length or Transfer-Encoding twice, or both. Two readers may then see two different bodies, so gateways refuse it.

## What you see
500 on Traefik, 502 on HAProxy, Caddy and nginx since 1.23. Other gateways pass it on, so that it breaks with a change of the gateway.

## How we know
The raw bytes of the pods' own answer have the headers twice; the gateway answers the same request with an error of its own.

## How to fix
Let the application, or a middleware that compresses or relays, set one of them. One that relays must not copy `Transfer-Encoding`.

## Looks like
`app-malformed-header` and `response-header-too-big` give the same 502; the bytes decide.

## Limits
Whether nginx refuses depends on its version; the finding is Likely there.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(refused) = undelivered::refused_head(case, HeadFault::is_framing)? else { return Ok(None) };
    let message = format!(
        "The application behind {} sends {}, which the gateway refuses ({}).",
        case.backend_name(),
        refused.error,
        case.share(refused.count)
    );
    let mut finding = CAUSE
        .finding(refused.confidence, message)
        .saw(refused.lost.failure)
        .saw(refused.first.seen)
        .states(format!("the raw head of the {}' answer has {}", case.members(), refused.error))
        .proof(refused.lost.failure.to_string(), refused.line());
    finding = finding
        .behind(&refused.first)
        .fix("Let the application send one Content-Length or one `Transfer-Encoding: chunked`, never both and none twice.");
    Ok(undelivered::raw_answer(case, &refused.first).into_iter().fold(finding, |f, command| f.command(command)).into())
}

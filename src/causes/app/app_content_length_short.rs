use crate::api::{Confidence, Hop, Severity};
use crate::causes::undelivered;
use crate::causes::{Case, Cause, EndpointView, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "app-content-length-short",
    summary: "the application sends less than its Content-Length announces",
    hop: Hop::Application,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::BodyCut],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The response announces more bytes than come before the application closes the connection. Often a length that was taken before the body was
compressed or changed, or a crash in the middle.

## What you see
A status 200 and a broken download: curl 18, a page that loads for ever or half. Traefik hangs up without an answer where the body is small.
Dashboards that count statuses stay green.

## How we know
The pods, asked directly, close the connection before the announced length has come; so it breaks before the gateway.

## How to fix
Let the framework count the length, after every change of the body, or leave it out. Where it is a crash, the application's log has it.

## Looks like
`app-chunked-invalid`: no length is announced, the chunks are broken. A body that streams on, as server-sent events do, is at work.

## Limits
Only the first 64 KiB of a body are read; one that breaks off later is not seen.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(lost) = undelivered::of(case)? else { return Ok(None) };
    let found: Vec<(&EndpointView<'_>, usize)> = lost.views.iter().filter_map(|v| Some((v, announced(v)?))).collect();
    let Some((first, announced)) = found.first() else { return Ok(None) };
    let length = first.seen.response().map(|r| r.body_length).unwrap_or_default();
    let message = format!(
        "The application behind {} announces a longer body than it sends, and closes the connection ({}).",
        case.backend_name(),
        case.share(found.len())
    );
    let what = format!("{length} of {announced} bytes came");
    let finding = CAUSE
        .finding(Confidence::Proven, message)
        .saw(lost.failure)
        .saw(first.seen)
        .states(format!("asked directly, the {} announce more than they send: {what}", case.members()))
        .proof(lost.failure.to_string(), format!("{}: {what}", first.seen))
        .fix("Let the framework count Content-Length after the last change of the body, or leave it out; look for a crash in the log.");
    Ok(undelivered::point_at(case, finding, first).into())
}

/// The length that a cut body announces.
fn announced(view: &EndpointView<'_>) -> Option<usize> {
    let response = view.seen.response().filter(|r| r.body_cut && !r.chunks_malformed && r.header("transfer-encoding").is_none())?;
    response.header("content-length")?.parse().ok().filter(|length| *length > response.body_length)
}

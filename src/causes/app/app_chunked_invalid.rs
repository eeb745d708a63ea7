use crate::api::{Confidence, Hop, Severity};
use crate::causes::undelivered;
use crate::causes::{Case, Cause, EndpointView, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "app-chunked-invalid",
    summary: "the application announces chunks and sends none that can be read",
    hop: Hop::Application,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::BodyCut],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The response says `Transfer-Encoding: chunked`, and its body is not in chunks, has a wrong size in one, or lacks the last one.

## What you see
By gateway: 502 on HAProxy and Apache, no answer at all on nginx (`upstream sent invalid chunked response`), a 200 that breaks off on Traefik and
Caddy. curl says 18 or 56.

## How we know
The pods' own body, asked directly, cannot be taken apart into chunks, or ends without the last one.

## How to fix
Do not set `Transfer-Encoding` by hand, and do not copy it from another response: the server writes the chunks and the header.

## Looks like
`app-content-length-short`: a length is announced, and less comes. `cl-te-conflict-rejected`: the headers contradict each other.

## Limits
Only the first 64 KiB of a body are read. A last chunk that is missing may also be a crash in the middle; the application's log tells.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(lost) = undelivered::of(case)? else { return Ok(None) };
    let found: Vec<&EndpointView<'_>> = lost.views.iter().filter(|v| is_broken(v)).collect();
    let Some(first) = found.first() else { return Ok(None) };
    let malformed = first.seen.response().is_some_and(|r| r.chunks_malformed);
    let what = if malformed { "are malformed" } else { "end without the last one" };
    let message = format!(
        "The application behind {} announces a body in chunks, and they {what} ({}).",
        case.backend_name(),
        case.share(found.len())
    );
    let finding = CAUSE
        .finding(Confidence::Proven, message)
        .saw(lost.failure)
        .saw(first.seen)
        .states(format!("asked directly, the {} announce chunks that {what}", case.members()))
        .proof(lost.failure.to_string(), format!("{}: the chunks {what}", first.seen))
        .fix("Let the server write Transfer-Encoding and the chunks; never set or copy that header by hand.");
    Ok(undelivered::point_at(case, finding, first).into())
}

fn is_broken(view: &EndpointView<'_>) -> bool {
    view.seen.response().is_some_and(|r| r.body_cut && (r.chunks_malformed || r.header("transfer-encoding").is_some()))
}

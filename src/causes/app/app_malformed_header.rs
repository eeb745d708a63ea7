use crate::api::{Confidence, Finding, Hop, Severity};
use crate::causes::undelivered::{self, Undelivered};
use crate::causes::{Case, Cause, EndpointView, Judgement, Missing, Platform, When, upstream};
use crate::path::Implementation;
use crate::probe::{Outcome, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "app-malformed-header",
    summary: "the application sends a response header that is none",
    hop: Hop::Application,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::HdrBad],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
A line of the response's head is no header: it has no colon, a space in its name, a control character in its value, or its status line is wrong.

## What you see
500 on Traefik, 502 on nginx (`upstream sent invalid header`), HAProxy, Envoy, Apache and Caddy.

## How we know
The raw bytes of the pods' own answer have the line, this gateway is known to refuse such lines, and it answers with an error of its own.

## How to fix
Clean what the application puts into headers: newlines above all, which often come from a user's input or a multi-line value.

## Looks like
`response-header-too-big` and `cl-te-conflict-rejected` give the same 502; the bytes decide. `app-not-http-on-port` sends no HTTP at all.

## Limits
Gateways differ in what they pass on, and change it: Traefik takes a space in a name, nginx some control characters. What they pass on is not
reported, though browsers may mind. Values are never shown.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    if let Some(refused) = undelivered::refused_head(case, |fault| !fault.is_framing())? {
        let (what, line) = (refused.error.to_string(), refused.line());
        let seen = Seen { lost: &refused.lost, first: &refused.first, count: refused.count, what: &what, line };
        return Ok(Some(finding(case, &seen, refused.confidence)));
    }
    let Some((lost, first, count)) = unreadable(case)? else { return Ok(None) };
    let seen = Seen { lost: &lost, first: &first, count, what: "a head that cannot be read", line: first.seen.to_string() };
    Ok(Some(finding(case, &seen, Confidence::Likely)))
}

/// What was seen of a malformed head.
struct Seen<'a> {
    lost: &'a Undelivered<'a>,
    first: &'a EndpointView<'a>,
    count: usize,
    what: &'a str,
    /// The direct answer as a line of proof.
    line: String,
}

/// Endpoints whose answer begins as HTTP and cannot be read, though no line of it is found at fault.
fn unreadable<'a>(case: &Case<'a>) -> Result<Option<(Undelivered<'a>, EndpointView<'a>, usize)>, Missing> {
    let Some(lost) = undelivered::of(case)? else { return Ok(None) };
    let is_unreadable = |v: &&EndpointView<'_>| {
        let Outcome::Broken { signature: Signature::HdrBad, first_bytes, .. } = &v.seen.outcome else { return false };
        first_bytes.starts_with(b"HTTP/") && v.seen.head_faults().is_empty()
    };
    let found: Vec<_> = lost.views.iter().filter(is_unreadable).copied().collect();
    Ok(found.first().copied().map(|first| (lost, first, found.len())))
}

fn finding(case: &Case<'_>, seen: &Seen<'_>, confidence: Confidence) -> Finding {
    let (backend, what) = (case.backend_name(), seen.what);
    let by = match upstream::implementation(case) {
        Implementation::Other => "readers of HTTP refuse".to_owned(),
        known => format!("{known} refuses"),
    };
    let message = format!("The application behind {backend} sends {what}, which {by} ({}).", case.share(seen.count));
    let mut finding = CAUSE
        .finding(confidence, message)
        .saw(seen.lost.failure)
        .saw(seen.first.seen)
        .states(format!("the raw head of the {}' answer has {what}", case.members()))
        .proof(seen.lost.failure.to_string(), &seen.line)
        .fix("Clean what the application puts into response headers: no newline, no control character, a name without spaces.");
    finding = finding.behind(seen.first);
    undelivered::raw_answer(case, seen.first).into_iter().fold(finding, |f, command| f.command(command)).build()
}

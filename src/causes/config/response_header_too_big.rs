use crate::api::{Confidence, Hop, Severity};
use crate::causes::remedy::Change;
use crate::causes::undelivered::{self, Undelivered};
use crate::causes::{Case, Cause, EndpointView, Judgement, Platform, When, upstream};
use crate::evidence::config::size;
use crate::path::Implementation;
use crate::probe::{Head, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "response-header-too-big",
    summary: "the application's response headers are bigger than the gateway takes",
    hop: Hop::Gateway,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::HdrBig],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
Cookies, tokens or security policies make the head of a response larger than the gateway's buffer for it.

## What you see
502 on nginx (`upstream sent too big header`), HAProxy, Envoy and Apache. Traefik and Caddy pass on up to 10 MiB. Often only after a login.

## How we know
The pods' own answer to the same request works, and its head is larger than the gateway takes: 4 KiB on nginx unless `proxy-buffer-size` says
otherwise, 15 KiB or 101 lines on HAProxy, 8190 bytes in one line on Apache, 60 KiB or 100 lines on Envoy.

## How to fix
Make the headers smaller, or the gateway's buffer larger; the finding has the setting.

## Looks like
`app-malformed-header` and `cl-te-conflict-rejected` give the same 502; here the head is sound and big.

## Limits
In a cluster a limit that is set for the whole gateway is not read, so one that was raised there is not known. Of a container the buffers of nginx
and HAProxy are read, and what others are told is not, nor what stands in a part of a configuration that was not understood: it is Likely then.
A head that grows with a login is not seen by a plain GET.
",
    check,
};

/// What a gateway takes.
#[derive(Clone, Copy, Debug)]
struct Limit {
    /// Bytes of the whole head.
    head: usize,
    /// Bytes of one line.
    field: usize,
    /// Lines.
    fields: usize,
    /// How sure these are.
    confidence: Confidence,
}

const NONE: Limit = Limit { head: usize::MAX, field: usize::MAX, fields: usize::MAX, confidence: Confidence::Proven };

fn check(case: &Case<'_>) -> Judgement {
    let Some(lost) = undelivered::of(case)? else { return Ok(None) };
    let limit = limit(case);
    let found: Vec<(&EndpointView<'_>, String)> = lost.views.iter().filter_map(|v| Some((v, excess(v, &limit)?))).collect();
    let Some((first, what)) = found.first() else { return Ok(None) };
    // What is passed on now and then is not too big.
    let answering = lost.views.iter().filter(|v| v.seen.response().is_some()).count();
    if found.len() >= answering && !case.successes.is_empty() {
        return Ok(None);
    }
    let message = format!(
        "The application behind {} answers with {what}, which is more than {} takes ({}).",
        case.backend_name(),
        name(case),
        case.share(found.len())
    );
    let mut finding = CAUSE
        .finding(confidence(case, &lost, &limit), message)
        .saw(lost.failure)
        .saw(first.seen)
        .states(format!("the {}' own answer has {what}", case.members()))
        .proof(lost.failure.to_string(), format!("{}, with {what}", first.seen));
    finding = finding.on_route(case, "metadata.annotations");
    let length = first.seen.response().map(|r| r.head.length).unwrap_or_default();
    finding = finding.remedy(Change::TakeHeads(length).at(case));
    Ok(undelivered::raw_answer(case, first).into_iter().fold(finding, |f, command| f.command(command)).into())
}

/// How an endpoint's head is over the limit, in words that stay the same while it does.
fn excess(view: &EndpointView<'_>, limit: &Limit) -> Option<String> {
    if view.seen.signature() == Some(Signature::HdrBig) {
        return Some("a head of more than 400 KiB".into());
    }
    let Head { length, longest_field, fields, .. } = view.seen.response().filter(|r| r.status < 500)?.head;
    let kibibytes = |bytes: usize| bytes.div_ceil(1024);
    if length > limit.head {
        Some(format!("a head of {} KiB", kibibytes(length)))
    } else if longest_field > limit.field {
        Some(format!("a header line of {} KiB", kibibytes(longest_field)))
    } else {
        (fields > limit.fields).then(|| format!("more than {} header lines", limit.fields))
    }
}

/// What the gateway takes, by its defaults and the route's annotations.
///
/// Sources: nginx `proxy_buffer_size` (a page, 4 KiB) and ingress-nginx `proxy-buffer-size` (4k); HAProxy `tune.bufsize` (16384) less
/// `tune.maxrewrite` (1024), `tune.http.maxhdr` (101); Apache `ResponseFieldSize` (8192 with the line's end); Envoy
/// `max_response_headers_kb` (60), `max_headers_count` (100); Go `net/http.Transport.MaxResponseHeaderBytes` (10 MiB).
fn limit(case: &Case<'_>) -> Limit {
    let limit = of_software(case);
    let Some(route) = case.path.container.as_deref() else { return limit };
    match route.upstream.largest_head {
        Some(head) => Limit { head, ..limit },
        // Where the whole configuration is known, its silence means the default.
        None if is_read(case) && route.configuration.notes.is_empty() => limit,
        None => Limit { confidence: limit.confidence.max(Confidence::Likely), ..limit },
    }
}

/// Whether the lines of a container's configuration that set the limit are read.
fn is_read(case: &Case<'_>) -> bool {
    matches!(upstream::implementation(case), Implementation::Nginx | Implementation::Haproxy)
}

fn of_software(case: &Case<'_>) -> Limit {
    match upstream::implementation(case) {
        Implementation::Nginx => Limit { head: nginx_buffer(case).unwrap_or(4 << 10), ..NONE },
        Implementation::Haproxy => Limit { head: 15 << 10, fields: 101, ..NONE },
        Implementation::Apache => Limit { field: 8190, ..NONE },
        Implementation::Envoy => Limit { head: 60 << 10, fields: 100, confidence: Confidence::Likely, ..NONE },
        Implementation::Traefik | Implementation::Caddy => NONE,
        Implementation::Other => Limit { head: 8 << 10, confidence: Confidence::Possible, ..NONE },
    }
}

fn nginx_buffer(case: &Case<'_>) -> Option<usize> {
    upstream::nginx(case, "proxy-buffer-size")
        .or_else(|| upstream::of_ingress(case, "nginx.org/proxy-buffer-size"))
        .and_then(|text| size(&text))
}

fn confidence(case: &Case<'_>, lost: &Undelivered<'_>, limit: &Limit) -> Confidence {
    if lost.is_typical(case) { limit.confidence } else { limit.confidence.max(Confidence::Likely) }
}

fn name(case: &Case<'_>) -> String {
    match upstream::implementation(case) {
        Implementation::Other => "many a gateway".into(),
        known => known.to_string(),
    }
}

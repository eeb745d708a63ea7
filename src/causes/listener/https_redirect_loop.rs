use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When};
use crate::probe::{Observation, Probe, Question, Scheme, Signature};
use crate::snapshot::objects::Kind;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "https-redirect-loop",
    summary: "clients that come over https are sent to the same https address, without end",
    hop: Hop::Gateway,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Everywhere,
    signatures: &[Signature::Relayed],
    explains: &["app-redirect-loop"],
    since: "0.1.0",
    docs: r"
## What it means
Somebody sends every plain request to https, and stands behind the place where TLS ends: all that it gets is plain. It learns of https by
a header (`X-Forwarded-Proto`), which is not sent, not believed, or not looked at.

## What you see
301, 302 or 308 again and again; the browser says that there are too many redirects. No error stands in any log.

## How we know
The request over TLS, through the gateway, is answered with a redirect to its very own address, twice. The same request is then put to the
route's endpoint directly, plain and with the header: that shows who redirects, and whether the header helps.

## How to fix
Let the gateway send `X-Forwarded-Proto: https`, let the application trust it, or switch the redirect off where TLS has ended already.

## Looks like
`app-redirect-loop`: the application redirects a plain address to itself, TLS or not. A redirect from plain text to https is right, and so
is one that sets a cookie first.

## Limits
A load balancer that ends TLS before the gateway is not passed; a loop that needs it is not seen.
",
    check,
};

/// The header that says how the client came.
const FORWARDED: (&str, &str) = ("x-forwarded-proto", "https");
/// Other headers that say the same.
const ALIKE: &[(&str, &str)] = &[
    ("forwarded", "proto=https"),
    ("front-end-https", "on"),
    ("x-forwarded-port", "443"),
    ("x-forwarded-scheme", "https"),
    ("x-forwarded-ssl", "on"),
    ("x-url-scheme", "https"),
];

fn check(case: &Case<'_>) -> Judgement {
    if !matches!(case.target().kind, Kind::Ingress | Kind::Container) {
        return Ok(None);
    }
    let over_tls = |o: &&Observation| matches!(&o.probe.question, Question::Request(r) if r.scheme.is_tls());
    let Some(first) = case.answers().filter(over_tls).find(|o| leads_back(o, "https") || leads_back(o, "http")) else { return Ok(None) };
    if first.response().is_some_and(|r| r.header("set-cookie").is_some()) {
        return Err(Missing::Fact("the redirect sets a cookie, and a client that sends it back may get on".into()));
    }
    if !leads_back(first, "https") {
        return there_and_back(case, first);
    }
    let again = case.ask(first.probe.again(first.probe.attempt.saturating_add(1)))?;
    if !leads_back(again, "https") { Ok(None) } else { blame(case, first) }
}

/// Over TLS it is sent to plain text, and from there back to TLS.
fn there_and_back(case: &Case<'_>, first: &Observation) -> Judgement {
    let Some(plain) = case.gateway()?.and_then(|g| g.entrance(false)) else { return Ok(None) };
    let Some(probe) = case.same_request(first, plain.address, Scheme::Http) else { return Ok(None) };
    let back = case.ask(probe)?;
    if !leads_back(back, "https") {
        return Ok(None);
    }
    Ok(begin(
        case,
        Confidence::Proven,
        format!("{} sends clients from https to http and back, without end.", case.path.route.title()),
        first,
    )
    .saw(back)
    .proof(format!("{first} to {}", location(first)), format!("{back} to {}", location(back)))
    .fix("Take one of the two redirects away, or tell the application by X-Forwarded-Proto how the client came.")
    .into())
}

/// Who redirects, by the endpoint's own answers.
fn blame(case: &Case<'_>, first: &Observation) -> Judgement {
    let to = case.ready_endpoints()?.first().and_then(|e| e.socket()).filter(|_| !case.path.backend.scheme.is_tls());
    let asked = |headers: &[(&str, &str)]| -> Option<Probe> {
        let mut probe = case.same_request(first, to?, case.path.backend.scheme)?;
        let added = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        probe.request_mut()?.headers.extend(added);
        Some(probe)
    };
    let title = case.path.route.title();
    let all: Vec<(&str, &str)> = ALIKE.iter().copied().chain([FORWARDED]).collect();
    let (Some(plain), Some(with), Some(with_all)) = (asked(&[]), asked(&[FORWARDED]), asked(&all)) else {
        let message = format!("Requests for {title} over https are sent to the same address again, without end.");
        return Ok(begin(case, Confidence::Likely, message, first)
            .proof(format!("{first} to {}", location(first)), "the address is the one that was asked for")
            .fix("See who redirects, and tell it by X-Forwarded-Proto how the client came.")
            .into());
    };
    case.ask_all(vec![plain.clone(), with.clone(), with_all.clone()])?;
    let (plain, with, with_all) = (case.ask(plain)?, case.ask(with)?, case.ask(with_all)?);
    if [plain, with, with_all].iter().any(|o| o.response().is_none()) {
        return Err(Missing::Fact("the route's endpoint does not answer when it is asked directly, so who redirects is not known".into()));
    }
    let (text, passing, fix) = who(plain, with, with_all);
    let message = format!("Requests for {title} over https are sent to the same address again, without end: {text}.");
    Ok(begin(case, Confidence::Proven, message, first)
        .saw(plain)
        .saw(with)
        .proof(format!("{first} to {}", location(first)), passing)
        .fix(fix)
        .into())
}

/// Who redirects, the line that shows it, and what to do: by the plain request alone, with the header, and with all that say the same.
fn who(plain: &Observation, with: &Observation, with_all: &Observation) -> (String, String, &'static str) {
    let header = "X-Forwarded-Proto: https";
    match (leads_back(plain, "https"), leads_back(with, "https"), leads_back(with_all, "https")) {
        (false, _, _) => (
            "the gateway redirects them, and the application would answer".to_owned(),
            plain.to_string(),
            "Take the redirect off the gateway's TLS entrance, or let the gateway trust the header of whoever ends TLS before it.",
        ),
        (true, false, _) => (
            format!("the application redirects what is plain, and the gateway does not send it {header}"),
            format!("{with}, with {header}"),
            "Let the gateway send X-Forwarded-Proto to the application.",
        ),
        (true, true, false) => (
            format!("the application redirects what is plain, and looks at another header than {header}"),
            format!("{with_all}, with X-Forwarded-Ssl, Front-End-Https, Forwarded and the like"),
            "Let the application trust X-Forwarded-Proto, or the gateway send the header that it looks at.",
        ),
        (true, true, true) => (
            format!("the application redirects them even with {header}"),
            format!("{with}, to the same address, with {header}"),
            "Let the application trust X-Forwarded-Proto, or take its redirect to https away: the gateway can do that.",
        ),
    }
}

fn begin(case: &Case<'_>, confidence: Confidence, message: String, first: &Observation) -> crate::causes::FindingBuilder {
    let host = case.path.route.asked_host().unwrap_or_default();
    CAUSE
        .finding(confidence, message)
        .on_route(case, &case.path.route.field)
        .saw(first)
        .states(format!("the redirect leads to {}", location(first)))
        .command(format!("curl -skI --resolve {host}:443:ADDRESS https://{host}{}", case.path.route.asked_path()))
}

fn location(seen: &Observation) -> &str {
    seen.response().and_then(|r| r.header("location")).unwrap_or_default()
}

/// Whether an answer redirects to the host and path that were asked for, with this scheme.
fn leads_back(seen: &Observation, scheme: &str) -> bool {
    let Question::Request(request) = &seen.probe.question else { return false };
    let Some(response) = seen.response().filter(|r| matches!(r.status, 301 | 302 | 303 | 307 | 308)) else { return false };
    let Some(target) = response.header("location").and_then(|to| to.split('#').next()) else { return false };
    let Some(rest) = target.split_once("://").filter(|(s, _)| s.eq_ignore_ascii_case(scheme)).map(|(_, rest)| rest) else { return false };
    let (host, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let usual = if scheme == "https" { ":443" } else { ":80" };
    let path = if path.is_empty() { "/" } else { path };
    host.strip_suffix(usual).unwrap_or(host).eq_ignore_ascii_case(&request.host) && path == request.path
}

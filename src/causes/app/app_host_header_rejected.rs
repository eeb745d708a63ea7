use super::hosts;
use crate::api::{Confidence, Finding, Hop, Severity};
use crate::causes::remedy::Change;
use crate::causes::upstream::Rewritten;
use crate::causes::{Case, Cause, EndToEnd, EndpointView, Judgement, Missing, Platform, When, known, upstream};
use crate::evidence::pages;
use crate::probe::{Observation, Probe, Question, Response, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "app-host-header-rejected",
    summary: "the application refuses the Host that requests of this route carry",
    hop: Hop::Application,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Everywhere,
    signatures: &[Signature::Relayed],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The application answers only to hosts that it knows (allowed hosts, virtual hosts), and the one that arrives is none of them: nobody told it of the
route's host, or the gateway sends another.

## What you see
400, 403, 404 or 421 with the application's own page (`DisallowedHost`, `Invalid Host header`); no gateway counts that as an error.

## How we know
The pods give the same answer directly, and answer the same request with another Host well. A 403 or 404 has to speak of the host as well. Or the
reverse: the pods answer the route's host well, and refuse the one that an annotation makes the gateway send.

## How to fix
Add the host to the application's list, or let the gateway pass the client's Host.

## Looks like
An application that answers 401, 403 or 404 for its own reasons does so for every Host, or does not speak of it.

## Limits
Which hosts it knows is not asked; localhost, the pod's address, the Service's names and those in probes and environment are tried. Routes for any
host, or for a wildcard, are left alone: what they are asked by is made up.
",
    check,
};

/// What applications say to a host that they do not know, in lower case.
///
/// Sources: Django `django/http/request.py`; webpack-dev-server; Vite; Rails `action_dispatch/middleware/host_authorization.rb`; IIS.
const WORDS: &[&str] =
    &["disallowedhost", "invalid http_host", "invalid host", "blocked host", "host is not allowed", "host not allowed", "invalid hostname"];

fn check(case: &Case<'_>) -> Judgement {
    let fixed = case.path.container.as_ref().and_then(|route| route.host_header()).is_some();
    if !fixed && case.path.route.host.as_ref().is_none_or(|h| h.starts_with("*.")) {
        return Ok(None);
    }
    let Some(answer) = refusal(case)? else { return Ok(None) };
    let Some(response) = answer.response() else { return Ok(None) };
    if case.path.backend.ready_endpoints().next().is_none() {
        return Ok(None);
    }
    let view = case.walked()?.into_iter().find(|v| v.seen.response().is_some());
    let Some(view) = view else { return Ok(None) };
    let Some(direct) = ask_as(case, answer, &view, None)? else { return Ok(None) };
    match direct.response() {
        Some(own) if own.status == response.status && fixed => neither_host(case, answer, &view),
        Some(own) if own.status == response.status => unknown_host(case, answer, direct, &view),
        Some(own) if own.status < 400 => rewritten(case, answer, direct, &view),
        _ => Ok(None),
    }
}

/// The answer to the route's request, where all of them refuse it in a way that the Host may be to blame for.
fn refusal<'a>(case: &Case<'a>) -> Result<Option<&'a Observation>, Missing> {
    if let EndToEnd::NotAsked(why) = case.end_to_end {
        return Err(Missing::Fact(format!("the route was not asked: {why}")));
    }
    let fits = |r: &Response| match r.status {
        400 => !pages::wants_tls(r) && !pages::wants_certificate(r),
        421 => true,
        403 | 404 => speaks_of_host(r) || may_rewrite(case),
        _ => false,
    };
    let mut answers = case.answers().filter_map(|o| o.response());
    if answers.next().is_none() || !case.answers().filter_map(|o| o.response()).all(fits) {
        return Ok(None);
    }
    Ok(case.answers().next())
}

fn may_rewrite(case: &Case<'_>) -> bool {
    case.path.backend.ready_endpoints().find_map(|e| e.socket()).is_some_and(|to| upstream::rewritten_host(case, to).is_some())
}

fn speaks_of_host(response: &Response) -> bool {
    let body = response.body_start.to_ascii_lowercase();
    let is_word = |w: &str| matches!(w, "host" | "hosts" | "hostname" | "http_host" | "disallowedhost" | "allowed_hosts");
    body.contains("not allowed") || body.split(|c: char| !c.is_alphanumeric() && c != '_').any(is_word)
}

/// The route's request, put to an endpoint with another Host.
fn ask_as<'a>(
    case: &Case<'a>,
    answer: &Observation,
    view: &EndpointView<'_>,
    host: Option<&str>,
) -> Result<Option<&'a Observation>, Missing> {
    view.endpoint.socket().and_then(|to| as_host(case, answer, to, host)).map(|probe| case.ask(probe)).transpose()
}

fn as_host(case: &Case<'_>, answer: &Observation, to: std::net::SocketAddr, host: Option<&str>) -> Option<Probe> {
    let mut probe = case.same_request(answer, to, case.path.backend.scheme)?;
    if let (Some(host), Some(request)) = (host, probe.request_mut()) {
        host.clone_into(&mut request.host);
    }
    Some(probe)
}

/// The application does not know the route's host.
fn unknown_host(case: &Case<'_>, answer: &Observation, direct: &Observation, view: &EndpointView<'_>) -> Judgement {
    let (Some(response), Some(to)) = (direct.response(), view.endpoint.socket()) else { return Ok(None) };
    if matches!(response.status, 403 | 404) && !speaks_of_host(response) {
        return Ok(None);
    }
    let probes = hosts::likely(case, view).iter().filter_map(|host| as_host(case, answer, to, Some(host))).collect();
    let welcome = case.ask_all(probes)?.into_iter().find(|o| o.response().is_some_and(|r| r.status < 400));
    let host = case.path.route.asked_host().unwrap_or_default();
    let status = response.status;
    let backend = case.backend_name();
    let start = format!("The application behind {backend} refuses the host {host} with {status}");
    let finding = match welcome {
        Some(other) => {
            let message = format!("{start}, and answers the same request for {}.", host_of(other));
            CAUSE.finding(Confidence::Proven, message).saw(answer).saw(direct).saw(other).proof(direct.to_string(), other.to_string())
        }
        None => {
            let body = response.body_start.to_ascii_lowercase();
            let Some(words) = WORDS.iter().find(|w| body.contains(**w)) else {
                // The pod's settings may name the host that it wants.
                return known(&view.endpoint.pod, "the pod").map(|_| None);
            };
            let says = format!("its page says \"{words}\"");
            let message = format!("{start}; {says}.");
            CAUSE.finding(Confidence::Likely, message).saw(answer).saw(direct).proof(answer.to_string(), format!("{direct}; {says}"))
        }
    };
    let mut finding = finding.fix(format!("Add {host} to the hosts that the application allows (ALLOWED_HOSTS, server_name, …)."));
    finding = finding.read_log_of(view);
    Ok(finding.into())
}

/// The gateway sends another Host than the client's, and the application refuses that one.
fn rewritten(case: &Case<'_>, answer: &Observation, direct: &Observation, view: &EndpointView<'_>) -> Judgement {
    let Some(to) = view.endpoint.socket() else { return Ok(None) };
    let Some(rewritten) = upstream::rewritten_host(case, to) else { return Ok(None) };
    let Some(sent) = ask_as(case, answer, view, Some(&rewritten.host))? else { return Ok(None) };
    let status = |o: &Observation| o.response().map(|r| r.status);
    if status(sent) != status(answer) {
        return Ok(None);
    }
    Ok(Some(rewriting(case, (answer, direct, sent), &rewritten)))
}

/// The gateway sends a Host of its own, and the application takes neither that one nor the client's, but another.
fn neither_host(case: &Case<'_>, answer: &Observation, view: &EndpointView<'_>) -> Judgement {
    let Some(to) = view.endpoint.socket() else { return Ok(None) };
    let Some(rewritten) = upstream::rewritten_host(case, to) else { return Ok(None) };
    let Some(sent) = ask_as(case, answer, view, Some(&rewritten.host))? else { return Ok(None) };
    if sent.response().map(|r| r.status) != answer.response().map(|r| r.status) {
        return Ok(None);
    }
    let others = hosts::likely(case, view).into_iter().filter(|host| *host != rewritten.host);
    let probes: Vec<Probe> = others.filter_map(|host| as_host(case, answer, to, Some(&host))).collect();
    let welcome = case.ask_all(probes)?.into_iter().find(|o| o.response().is_some_and(|r| r.status < 400));
    Ok(welcome.map(|welcome| rewriting(case, (answer, welcome, sent), &rewritten)))
}

fn rewriting(case: &Case<'_>, (answer, passing, sent): (&Observation, &Observation, &Observation), rewritten: &Rewritten) -> Finding {
    let Rewritten { host, by, setting } = rewritten;
    let message =
        format!("{setting} of {by} makes the gateway send the Host {host}, which the application behind {} refuses.", case.backend_name());
    CAUSE
        .finding(Confidence::Proven, message)
        .object(by, &rewritten.field())
        .saw(answer)
        .saw(sent)
        .saw(passing)
        .proof(sent.to_string(), passing.to_string())
        .remedy(Change::PassHost(rewritten).at(case))
        .build()
}

fn host_of(observation: &Observation) -> &str {
    match &observation.probe.question {
        Question::Request(request) => &request.host,
        _ => "",
    }
}

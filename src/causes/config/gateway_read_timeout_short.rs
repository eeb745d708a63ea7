use std::time::Duration;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::remedy::Change;
use crate::causes::{Case, Cause, EndToEnd, Judgement, Missing, Platform, When, upstream};
use crate::path::Implementation;
use crate::probe::{Observation, Probe, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "gateway-read-timeout-short",
    summary: "the gateway waits for an answer for less time than the application takes",
    hop: Hop::Gateway,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::ReadTimeout],
    explains: &["app-never-answers", "accept-without-service"],
    since: "0.1.0",
    docs: r"
## What it means
The gateway's limit for the silence of a backend is set to less than what the application needs for this request.

## What you see
504, always after the same time.

## How we know
The configuration, or the annotation, sets the limit; the same request, put to the backend directly with more patience, is answered after more
than that.

## How to fix
Raise the limit, or have the application answer sooner: what takes long belongs into the background.

## Looks like
`app-never-answers`: there no patience helps. `cpu-throttled` and an overloaded dependency make an application slow that is quick otherwise.

## Limits
Only a limit that is set is compared, and one of a few seconds: the defaults of a minute are longer than what is waited for here.
",
    check,
};

/// The longest that is waited for an endpoint.
const MOST: Duration = Duration::from_secs(20);

fn check(case: &Case<'_>) -> Judgement {
    let Some(limit) = limit(case).filter(|limit| *limit * 2 <= MOST) else { return Ok(None) };
    if let EndToEnd::NotAsked(why) = case.end_to_end {
        return Err(Missing::Fact(format!("the route was not asked: {why}")));
    }
    let gave_up = |o: &&&Observation| o.response().is_some_and(|r| r.status == 504);
    let Some(failure) = case.failures.iter().find(gave_up) else { return Ok(None) };
    let Some(to) = case.walked()?.iter().find_map(|v| v.endpoint.socket()) else { return Ok(None) };
    let patient = Probe { timeout: MOST.min(limit * 4 + case.timeout), ..case.request_to(to, case.path.backend.scheme) };
    let answer = case.ask(patient)?;
    let in_the_end = answer.response().is_some_and(|r| r.status < 500) && answer.took > limit;
    if !in_the_end {
        return Ok(None);
    }
    let seconds = limit.as_secs_f64();
    let message =
        format!("The gateway waits {seconds} s for an answer of {}, and the application takes longer than that.", case.backend_name());
    let needed = Duration::from_secs((answer.took.as_secs() + 1) * 2).max(Duration::from_secs(60));
    Ok(CAUSE
        .finding(Confidence::Proven, message)
        .on_route(case, "metadata.annotations")
        .saw(failure)
        .saw(answer)
        .states(format!("the gateway is told to wait {seconds} s"))
        .proof(failure.to_string(), format!("{answer}, asked directly with more patience"))
        .remedy(Change::WaitFor(needed).at(case))
        .into())
}

/// The limit that is set for the backend's silence.
fn limit(case: &Case<'_>) -> Option<Duration> {
    if let Some(route) = &case.path.container {
        return route.upstream.read_timeout;
    }
    let text = upstream::nginx(case, "proxy-read-timeout").filter(|_| upstream::implementation(case) == Implementation::Nginx)?;
    text.trim().trim_end_matches('s').parse().ok().map(Duration::from_secs)
}

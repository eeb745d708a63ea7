use std::collections::BTreeMap;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::redirect::Url;
use crate::causes::{Case, Cause, EndToEnd, Judgement, Missing, Platform, When};
use crate::probe::{Observation, Probe, Question, Response, Scheme, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "app-redirect-loop",
    summary: "the application redirects a URL to itself",
    hop: Hop::Application,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Everywhere,
    signatures: &[Signature::Relayed],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
Who asks for the URL is sent to it again, at once or over other URLs of the same host, and never gets an answer.

## What you see
301, 302, 307 or 308 without end; the browser says that there are too many redirects. No gateway counts that as an error.

## How we know
Redirects on the route's own host are followed, five at most, with the cookies that they set: the URL that was asked for comes again. The pods,
asked directly, redirect in the same way, also when told that the client came over https.

## How to fix
Mend the rule that redirects: a trailing slash, a canonical host or scheme, a base URL. Let the application trust X-Forwarded-Proto and -Host.

## Looks like
`https-redirect-loop`: TLS ends before the application, which does not know it and redirects to https again; told so, it answers.

## Limits
A loop that does not lead back to the URL that was asked for is not reported, nor one that needs a login to be seen. An application outside of the
cluster is not asked.
",
    check,
};

/// Redirects followed at most.
const MOST: usize = 5;

fn check(case: &Case<'_>) -> Judgement {
    let Some(first) = case.answers().find(|o| o.response().is_some_and(|r| target(o, r).is_some())) else {
        return match case.end_to_end {
            EndToEnd::NotAsked(why) => Err(Missing::Fact(format!("the route was not asked: {why}"))),
            _ => Ok(None),
        };
    };
    let Some(steps) = turn(case, first)? else { return Ok(None) };
    let direct = direct(case, &steps)?;
    let of_application = direct.iter().filter(|same| same.is_some()).count();
    let Some(Some(shown)) = direct.iter().find(|same| same.is_some()) else { return Ok(None) };
    let trail: Vec<String> = steps.iter().filter_map(|o| Some(Url::asked(o)?.to_string())).collect();
    let again = trail.first().cloned().unwrap_or_default();
    let over = if trail.len() > 1 { format!(", over {}", trail[1..].join(", ")) } else { String::new() };
    let confidence = if of_application == steps.len() { Confidence::Proven } else { Confidence::Likely };
    let backend = case.backend_name();
    let message = format!("The application behind {backend} redirects {again} to itself{over}.");
    let mut finding = CAUSE.finding(confidence, message);
    for step in &steps {
        finding = finding.saw(step);
    }
    let leads = |o: &Observation| o.response().and_then(|r| r.header("location")).unwrap_or_default().to_owned();
    finding = finding
        .saw(shown)
        .proof(
            format!("{} to {}, which leads back to {again}", first, leads(first)),
            format!("{shown} to {}, asked directly, also with X-Forwarded-Proto: https", leads(shown)),
        )
        .fix("Mend the rule that redirects: a trailing slash, the canonical host or scheme, or the base URL.");
    finding = finding.backend(case, "");
    Ok(finding.command(format!("curl -sIL --max-redirs {MOST} {again}")).into())
}

/// Where a redirect on the same host leads.
fn target(observation: &Observation, response: &Response) -> Option<Url> {
    let asked = Url::asked(observation)?;
    asked.redirect_of(response).filter(|to| to.host == asked.host && has_own_port(to))
}

fn has_own_port(url: &Url) -> bool {
    url.port == if url.tls { 443 } else { 80 }
}

/// Follows redirects from an answer until its URL comes again. Nothing where they end, lead away, or go on elsewhere.
fn turn<'a>(case: &Case<'a>, first: &'a Observation) -> Result<Option<Vec<&'a Observation>>, Missing> {
    let Some(start) = Url::asked(first) else { return Ok(None) };
    let (mut current, mut steps, mut jar) = (first, vec![first], Jar::default());
    // The cookies that the URL was asked with last.
    let mut asked_with = Vec::new();
    for follows in 0..=MOST {
        let Some(response) = current.response() else { return Ok(None) };
        let Some(next) = target(current, response) else { return Ok(None) };
        if !jar.take(response, next.tls) {
            return Ok(None);
        }
        if next == start {
            // A page that sets a cookie and asks again is no loop for a client that keeps it.
            if jar.names().all(|name| asked_with.contains(name)) {
                return Ok(Some(steps));
            }
            asked_with = jar.names().cloned().collect();
            steps.clear();
        } else if Url::asked(current).as_ref() == Some(&next) {
            return Ok(None);
        }
        let Some(probe) = follow(case, first, &next, &jar).filter(|_| follows < MOST) else { return Ok(None) };
        current = case.ask(probe)?;
        steps.push(current);
    }
    Ok(None)
}

/// The request that a client sends next.
fn follow(case: &Case<'_>, first: &Observation, to: &Url, jar: &Jar) -> Option<Probe> {
    let Question::Request(request) = &first.probe.question else { return None };
    let address = if request.scheme.is_tls() == to.tls { request.to } else { case.path.gateway.known()?.entrance(to.tls)?.address };
    let mut probe = Probe { attempt: 0, timeout: case.timeout, ..first.probe.clone() };
    let request = probe.request_mut()?;
    request.to = address;
    request.scheme = if to.tls { Scheme::Https } else { Scheme::Http };
    request.path.clone_from(&to.path);
    request.headers.extend(jar.header());
    Some(probe)
}

/// For each step the pods' own answer, where it leads to the same place whatever the pods are told of the client's scheme.
fn direct<'a>(case: &Case<'a>, steps: &[&'a Observation]) -> Result<Vec<Option<&'a Observation>>, Missing> {
    let Some(to) = case.walked()?.iter().find_map(|v| v.endpoint.socket()) else { return Ok(Vec::new()) };
    let bare = |step: &&Observation| case.same_request(step, to, case.path.backend.scheme);
    let told = |step: &&Observation| {
        let mut probe = bare(step)?;
        probe.request_mut()?.headers.push(("x-forwarded-proto".into(), "https".into()));
        Some(probe)
    };
    let probes: Vec<Probe> = steps.iter().flat_map(|s| [bare(s), told(s)]).flatten().collect();
    case.ask_all(probes)?;
    let same = |step: &&'a Observation, probe: Option<Probe>| {
        let (seen, asked) = (case.seen.get(&probe?)?, Url::asked(step)?);
        let (theirs, ours) = (asked.redirect_of(seen.response()?)?, asked.redirect_of(step.response()?)?);
        // The scheme is what the pods believe the client's to be.
        (theirs.host == ours.host && theirs.path == ours.path).then_some(seen)
    };
    Ok(steps.iter().map(|step| same(step, told(step)).and(same(step, bare(step)))).collect())
}

/// The cookies that a client would have by now.
#[derive(Debug, Default)]
struct Jar(BTreeMap<String, String>);

impl Jar {
    /// Takes what a response sets. False where a cookie cannot be sent back as it came.
    fn take(&mut self, response: &Response, tls: bool) -> bool {
        const LONGEST: usize = 500;
        for (_, set) in response.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let mut parts = set.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let attributes: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
            if set.len() > LONGEST || set.contains('\\') {
                return false;
            }
            if value.is_empty() || attributes.iter().any(|a| a == "max-age=0") {
                self.0.remove(name);
            } else if tls || !attributes.iter().any(|a| a == "secure") {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
        true
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    fn header(&self) -> Option<(String, String)> {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| ("cookie".to_owned(), pairs.join("; ")))
    }
}

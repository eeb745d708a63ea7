//! What the requests of one path say: whether it works end to end, and who made the failing answer.

use std::time::Duration;

use crate::api::AnsweredBy;
use crate::causes::{EndToEnd, Observations};
use crate::evidence::pages;
use crate::path::{Implementation, Leads, Path};
use crate::probe::{Observation, Outcome, Probe, Question, Response, Signature};

use super::plan;
use super::settings::Settings;

/// What one answer means for the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Good,
    Bad,
    /// It was not sent, or nothing tells whose answer it is.
    Unclear,
}

/// The requests of one path, judged.
#[derive(Clone, Debug)]
pub struct Answers<'a> {
    /// What they show together.
    pub end_to_end: EndToEnd,
    /// Those that failed, first one first.
    pub failures: Vec<&'a Observation>,
    /// Those that were answered as expected.
    pub successes: Vec<&'a Observation>,
    /// Whether the endpoints have to be walked before this can be judged.
    pub doubtful: bool,
}

/// Judges the end-to-end requests that were sent so far; for a Service target those to its endpoints.
pub fn judge<'a>(path: &Path, seen: &'a Observations, settings: &Settings) -> Answers<'a> {
    if !settings.online {
        return not_asked("nothing is probed here");
    }
    let probes = if path.gateway.is_absent() && path.route.target.kind == crate::snapshot::objects::Kind::Service {
        let ready: Vec<_> = path.backend.ready_endpoints().filter_map(|e| e.socket()).collect();
        plan::walk(path).iter().filter(|p| p.address().is_some_and(|a| ready.contains(&a))).collect::<Vec<_>>()
    } else {
        plan::end_to_end(path, seen, settings).iter().collect()
    };
    if probes.is_empty() {
        return without_requests(path);
    }
    let broken = plan::has_broken_endpoint(path, seen, settings);
    let asked: Vec<&Observation> = probes.iter().flat_map(|p| attempts(p, seen, settings, broken)).collect();
    let mut answers = Answers { end_to_end: EndToEnd::Works, failures: Vec::new(), successes: Vec::new(), doubtful: false };
    let mut unclear = None;
    for observation in &asked {
        match answer(path, observation, seen, settings) {
            Answer::Good => answers.successes.push(observation),
            Answer::Bad => answers.failures.push(observation),
            Answer::Unclear => unclear = Some(observation),
        }
        answers.doubtful |= observation.response().is_some_and(|r| is_doubtful(r.status) || may_be_raw(r));
    }
    // Who follows a redirect asks again: one that is answered then led somewhere.
    if !answers.successes.is_empty() {
        answers.failures.retain(|o| !o.response().is_some_and(|r| redirects_to_itself(o, r)));
    }
    answers.end_to_end = match (answers.failures.len(), answers.successes.len(), unclear) {
        (0, 0, Some(observation)) => EndToEnd::NotAsked(match &observation.outcome {
            Outcome::NotSent(why) => why.clone(),
            _ => format!("{observation}, and nothing tells whose answer that is"),
        }),
        (0, 0, None) => EndToEnd::NotAsked("no request was sent yet".into()),
        (0, _, _) => EndToEnd::Works,
        // One lost request that then works again and again is no fault of the route.
        (1, good, _) if good >= 3 && !broken && is_lost(answers.failures[0]) => EndToEnd::Works,
        (_, 0, _) => EndToEnd::Fails,
        (bad, good, _) => EndToEnd::Partly { failed: bad, asked: bad + good },
    };
    answers
}

fn not_asked(why: &str) -> Answers<'static> {
    Answers { end_to_end: EndToEnd::NotAsked(why.into()), failures: Vec::new(), successes: Vec::new(), doubtful: false }
}

/// A path that there is no address to ask for. A gateway without ready pods answers nobody; that is seen, not unknown.
fn without_requests(path: &Path) -> Answers<'static> {
    use crate::fact::Fact;
    match &path.gateway {
        Fact::Known(gateway) if gateway.entrances_unknown.is_some() => not_asked(gateway.entrances_unknown.as_deref().unwrap_or_default()),
        // A gateway container that runs listens somewhere, and where is not known.
        Fact::Known(_) if path.container.as_ref().is_some_and(|c| c.gateway.runs()) => not_asked("no listener of the route is known"),
        Fact::Known(_) => Answers { end_to_end: EndToEnd::Fails, ..not_asked("") },
        Fact::Absent if path.route.target.kind == crate::snapshot::objects::Kind::Service => match path.backend.slices {
            Fact::Known(_) => Answers { end_to_end: EndToEnd::Fails, ..not_asked("") },
            _ => not_asked("the Service's endpoints could not be looked up"),
        },
        Fact::Absent => not_asked("no gateway serves this route"),
        Fact::NotAsked => not_asked("the gateway was not looked up"),
        Fact::Failed(why) => not_asked(why),
    }
}

/// All attempts of a probe that were made, without those that were cut short and that their patient twin clears: it was answered, and that
/// was slow, or no endpoint is broken, so that a quick answer does not come from another one.
fn attempts<'a>(probe: &Probe, seen: &'a Observations, settings: &Settings, broken: bool) -> Vec<&'a Observation> {
    let of = |attempt: u8, timeout: Duration| Probe { attempt, timeout, ..probe.clone() };
    let made = seen.range(of(0, Duration::ZERO)..of(plan::PATIENT + plan::ATTEMPTS, Duration::ZERO));
    let planned = |p: &Probe| p.timeout == plan::attempt_timeout(probe, p.attempt, settings);
    let all: Vec<&Observation> = made.filter(|(p, _)| planned(p)).map(|(_, o)| o).collect();
    let clears = |twin: &Observation, hasty: &Observation| {
        let settled = twin.response().is_none() || !broken || twin.took >= hasty.probe.timeout;
        settled && !matches!(twin.outcome, Outcome::NotSent(_))
    };
    let twin = |o: &Observation| all.iter().find(|twin| twin.probe.attempt == plan::PATIENT + o.probe.attempt);
    let is_cleared = |o: &Observation| plan::is_cut_short(o, settings) && twin(o).is_some_and(|twin| clears(twin, o));
    all.iter().copied().filter(|o| !is_cleared(o)).collect()
}

/// Whether nothing came back, or not all of it, as when a packet is lost or a pod goes away.
fn is_lost(observation: &Observation) -> bool {
    matches!(observation.outcome, Outcome::Broken { .. }) || observation.signature() == Some(Signature::BodyCut)
}

/// Statuses that a gateway as well as an application may mean.
fn is_doubtful(status: u16) -> bool {
    matches!(status, 400 | 404 | 421)
}

/// A page of Apache httpd's that nobody gave a type: it takes bytes that are no HTTP for the body of a page of HTTP/0.9, and passes them on with
/// a 200 and a `Server` of its own (mod_proxy_http.c, `backasswards`).
fn may_be_raw(response: &Response) -> bool {
    let by_apache = response.header("server").is_some_and(|server| server.starts_with("Apache"));
    response.status == 200 && response.body_length > 0 && response.header("content-type").is_none() && by_apache
}

/// Whether a page that may be raw is what an endpoint says to everybody, in another protocol than HTTP.
fn raw(path: &Path, response: &Response, seen: &Observations) -> Answer {
    let said = |o: &Observation| match &o.outcome {
        Outcome::Broken { first_bytes, .. } => Some(String::from_utf8_lossy(first_bytes).trim().to_owned()),
        Outcome::NotSent(_) => None,
        _ => Some(String::new()),
    };
    let walked: Vec<String> = plan::walk(path).iter().filter_map(|p| seen.get(p)).filter_map(said).collect();
    match walked.iter().any(|said| !said.is_empty() && response.body_start.trim().starts_with(said)) {
        true => Answer::Bad,
        false if walked.is_empty() => Answer::Unclear,
        false => Answer::Good,
    }
}

/// A redirect to the very URL that was asked for, without a cookie that could make a difference the next time.
fn redirects_to_itself(observation: &Observation, response: &Response) -> bool {
    let Question::Request(request) = &observation.probe.question else { return false };
    let scheme = if request.scheme.is_tls() { "https" } else { "http" };
    let target = response.header("location").filter(|_| (300..400).contains(&response.status)).unwrap_or_default();
    let same = target == request.path || target.eq_ignore_ascii_case(&format!("{scheme}://{}{}", request.host, request.path));
    same && response.status != 304 && response.header("set-cookie").is_none()
}

fn answer(path: &Path, observation: &Observation, seen: &Observations, settings: &Settings) -> Answer {
    let response = match &observation.outcome {
        Outcome::Response(response) => response,
        Outcome::NotSent(_) => return Answer::Unclear,
        _ => return Answer::Bad,
    };
    let wrong = response.body_cut || pages::wants_tls(response) || redirects_to_itself(observation, response);
    if !settings.expects(response.status) || wrong {
        return Answer::Bad;
    }
    match response.status {
        404 if path.gateway.known().is_some() => not_found(path, response, seen, settings),
        421 if path.gateway.known().is_some() => misdirected(path, seen),
        _ if may_be_raw(response) => raw(path, response, seen),
        _ => Answer::Good,
    }
}

/// A 421 (RFC 9110 §15.5.20) is the application's where it gives the same directly, and else the gateway's, which does not serve the route.
fn misdirected(path: &Path, seen: &Observations) -> Answer {
    let walked: Vec<u16> = plan::walk(path).iter().filter_map(|p| seen.get(p)).filter_map(|o| o.response()).map(|r| r.status).collect();
    match walked.as_slice() {
        // What stands behind a name is not walked; the cause that asks there decides.
        [] if is_external(path, seen) => Answer::Good,
        [] => Answer::Unclear,
        statuses if statuses.contains(&421) => Answer::Good,
        _ => Answer::Bad,
    }
}

/// A 404 is the application's, and then right, or the gateway's, and then the route is not served.
fn not_found(path: &Path, response: &Response, seen: &Observations, settings: &Settings) -> Answer {
    let walked: Vec<&Observation> = plan::walk(path).iter().filter_map(|p| seen.get(p)).collect();
    let direct: Vec<&Response> = walked.iter().filter_map(|o| o.response()).collect();
    if direct.iter().any(|d| d.status == response.status) {
        return Answer::Good;
    }
    // A gateway container's servers are all that it has.
    let is_listed = path.backend.slices.known().is_some() || path.container.is_some();
    let nobody_else = path.backend.service.is_absent()
        || path.backend.port.is_absent()
        || (is_listed && path.backend.ready_endpoints().next().is_none() && !is_external(path, seen));
    if nobody_else {
        return Answer::Bad;
    }
    let reference = plan::reference(path, seen, settings).and_then(|p| seen.get(&p)).and_then(|o| o.response());
    match reference {
        Some(own) if same_page(own, response) && walked.is_empty() => Answer::Unclear,
        Some(own) if same_page(own, response) => Answer::Bad,
        Some(_) => Answer::Good,
        None => Answer::Unclear,
    }
}

/// Whether the backend is a name outside: what an ExternalName Service stands for, or what a gateway container's upstream names and no network
/// of its engine knows, unless that was seen to give no address.
fn is_external(path: &Path, seen: &Observations) -> bool {
    if let Some(route) = &path.container {
        let is_of = |o: &Observation, host: &str| matches!(&o.probe.question, Question::Resolve { name, .. } if name == host);
        let gives_none = |host: &str| seen.values().any(|o| matches!(o.outcome, Outcome::NotResolved(_)) && is_of(o, host));
        return route.servers.iter().any(|s| s.leads == Leads::Name && !gives_none(&s.server.host));
    }
    path.backend.service.known().is_some_and(|s| s.external_name.is_some())
}

fn same_page(a: &Response, b: &Response) -> bool {
    a.status == b.status && a.body_hash == b.body_hash
}

/// Who made a failing answer.
pub fn answered_by(path: &Path, failure: Option<&Observation>, seen: &Observations, settings: &Settings) -> AnsweredBy {
    let Some(failure) = failure else { return AnsweredBy::Unknown };
    let response = match &failure.outcome {
        Outcome::Response(response) => response,
        Outcome::NotSent(_) => return AnsweredBy::Unknown,
        _ => return AnsweredBy::Nobody,
    };
    let walked: Vec<&Observation> = plan::walk(path).iter().filter_map(|p| seen.get(p)).collect();
    let relayed = walked.iter().filter_map(|o| o.response()).find(|direct| direct.status == response.status);
    if let Some(direct) = relayed {
        return if pages::error_page_of(direct).is_some() { AnsweredBy::InnerProxy } else { AnsweredBy::Application };
    }
    let own = plan::reference(path, seen, settings).and_then(|p| seen.get(&p)).and_then(|o| o.response());
    // Applications in Go say the same, so this is no page of Traefik's by itself; it is where the pods do not say it.
    let traefik = path.gateway.known().is_some_and(|g| g.implementation == Implementation::Traefik);
    let own_500 = traefik && !walked.is_empty() && response.status == 500 && response.body_start.trim() == "Internal Server Error";
    let nobody_behind = path.backend.ready_endpoints().next().is_none() && !is_external(path, seen);
    let all_broken = !walked.is_empty() && walked.iter().all(|o| matches!(o.outcome, Outcome::Broken { .. }));
    let own_page = own_500 || pages::error_page_of(response).is_some();
    if own.is_some_and(|own| same_page(own, response)) || nobody_behind || all_broken || own_page {
        AnsweredBy::Gateway
    } else {
        AnsweredBy::Unknown
    }
}

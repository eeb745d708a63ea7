//! What the requests of one path say: whether it works end to end, and who made the failing answer.

use crate::api::AnsweredBy;
use crate::causes::{EndToEnd, Observations};
use crate::evidence::pages;
use crate::path::Path;
use crate::probe::{Observation, Outcome, Probe, Response};

use super::plan;
use super::settings::Settings;

/// Attempts at most for one request: one, one again, and enough to see a share.
pub const ATTEMPTS: u8 = 10;

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
        plan::walk(path).into_iter().filter(|p| p.address().is_some_and(|a| ready.contains(&a))).collect()
    } else {
        plan::end_to_end(path, seen, settings)
    };
    if probes.is_empty() {
        return without_requests(path);
    }
    let asked: Vec<&Observation> = probes.iter().flat_map(|p| attempts(p, seen)).collect();
    let mut answers = Answers { end_to_end: EndToEnd::Works, failures: Vec::new(), successes: Vec::new(), doubtful: false };
    let mut unclear = None;
    for observation in &asked {
        match answer(path, observation, seen, settings) {
            Answer::Good => answers.successes.push(observation),
            Answer::Bad => answers.failures.push(observation),
            Answer::Unclear => unclear = Some(observation),
        }
        answers.doubtful |= observation.response().is_some_and(|r| is_doubtful(r.status));
    }
    answers.end_to_end = match (answers.failures.len(), answers.successes.len(), unclear) {
        (0, 0, Some(observation)) => EndToEnd::NotAsked(match &observation.outcome {
            Outcome::NotSent(why) => why.clone(),
            _ => format!("{observation}, and nothing tells whose answer that is"),
        }),
        (0, 0, None) => EndToEnd::NotAsked("no request was sent yet".into()),
        (0, _, _) => EndToEnd::Works,
        // One lost request that then works again and again is no fault of the route.
        (1, good, _) if good >= 3 && is_lost(answers.failures[0]) => EndToEnd::Works,
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

/// All attempts of a probe that were made.
pub fn attempts<'a>(probe: &Probe, seen: &'a Observations) -> impl Iterator<Item = &'a Observation> {
    let probes: Vec<Probe> = (0..ATTEMPTS).map(|n| probe.again(n)).collect();
    probes.into_iter().filter_map(|p| seen.get(&p))
}

/// Whether nothing came back at all, as when a packet is lost.
fn is_lost(observation: &Observation) -> bool {
    matches!(observation.outcome, Outcome::Broken { .. })
}

/// Statuses that a gateway as well as an application may mean.
fn is_doubtful(status: u16) -> bool {
    matches!(status, 400 | 404)
}

fn answer(path: &Path, observation: &Observation, seen: &Observations, settings: &Settings) -> Answer {
    let response = match &observation.outcome {
        Outcome::Response(response) => response,
        Outcome::NotSent(_) => return Answer::Unclear,
        _ => return Answer::Bad,
    };
    if !settings.expects(response.status) || pages::wants_tls(response) {
        return Answer::Bad;
    }
    if response.status != 404 || path.gateway.known().is_none() {
        return Answer::Good;
    }
    not_found(path, response, seen, settings)
}

/// A 404 is the application's, and then right, or the gateway's, and then the route is not served.
fn not_found(path: &Path, response: &Response, seen: &Observations, settings: &Settings) -> Answer {
    let walked: Vec<&Observation> = plan::walk(path).iter().filter_map(|p| seen.get(p)).collect();
    let direct: Vec<&Response> = walked.iter().filter_map(|o| o.response()).collect();
    if direct.iter().any(|d| d.status == response.status) {
        return Answer::Good;
    }
    let nobody_else = path.backend.service.is_absent()
        || path.backend.port.is_absent()
        || (path.backend.slices.known().is_some() && path.backend.ready_endpoints().next().is_none() && !is_external(path));
    if nobody_else {
        return Answer::Bad;
    }
    let reference = plan::reference(path, settings).and_then(|p| seen.get(&p)).and_then(|o| o.response());
    match reference {
        Some(own) if same_page(own, response) && walked.is_empty() => Answer::Unclear,
        Some(own) if same_page(own, response) => Answer::Bad,
        Some(_) => Answer::Good,
        None => Answer::Unclear,
    }
}

fn is_external(path: &Path) -> bool {
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
    let own = plan::reference(path, settings).and_then(|p| seen.get(&p)).and_then(|o| o.response());
    let nobody_behind = path.backend.ready_endpoints().next().is_none() && !is_external(path);
    let all_broken = !walked.is_empty() && walked.iter().all(|o| matches!(o.outcome, Outcome::Broken { .. }));
    if own.is_some_and(|own| same_page(own, response)) || nobody_behind || all_broken || pages::error_page_of(response).is_some() {
        AnsweredBy::Gateway
    } else {
        AnsweredBy::Unknown
    }
}

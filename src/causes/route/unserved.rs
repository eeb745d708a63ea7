//! Routes that their gateway answers as it answers a host that nobody has, though everything behind them works.

use crate::causes::{Case, EndToEnd, Missing, NO_SUCH_HOST, known};
use crate::path::gateway;
use crate::probe::{Observation, Probe, Question, Request, Response};
use crate::snapshot::objects::{Ingress, Kind, ServiceType};

use super::rivals;

/// A route that is not served.
#[derive(Clone, Copy, Debug)]
pub struct Unserved<'a> {
    /// The gateway's answer for the route.
    pub answer: &'a Observation,
    /// The same for a host that nobody has.
    pub reference: &'a Observation,
    /// The endpoint's own answer, which is another.
    pub direct: &'a Observation,
}

/// Whether the route is not served, with what shows it.
pub fn of<'a>(case: &Case<'a>, ingress: &Ingress) -> Result<Option<Unserved<'a>>, Missing> {
    if case.target().kind != Kind::Ingress || matches!(case.end_to_end, EndToEnd::Partly { .. }) {
        return Ok(None);
    }
    let (Some(service), Some(_)) = (case.service()?, case.service_port()?) else { return Ok(None) };
    let class = case.class()?;
    let Some(_) = case.gateway()? else { return Ok(None) };
    // Without a class, and without a person who named the gateway, it is no wonder.
    if service.service_type == ServiceType::ExternalName || (class.is_none() && gateway::named(case.snapshot, ingress, class).is_none()) {
        return Ok(None);
    }
    if let EndToEnd::NotAsked(why) = case.end_to_end {
        return Err(Missing::Fact(format!("what the gateway answers was not seen: {why}")));
    }
    let answers = if case.failures.is_empty() { case.successes } else { case.failures };
    let Some(answer) = answers.first() else { return Ok(None) };
    let Some(page) = answer.response().filter(|r| case.failures.len() == answers.len() || is_placeholder(r)) else { return Ok(None) };
    if answers.iter().any(|o| o.response().is_none_or(|r| !same_page(r, page))) {
        return Ok(None);
    }
    let walked = case.walked()?;
    let own = walked.iter().find(|v| v.seen.response().is_some_and(|r| r.status < 500 && !same_page(r, page)));
    let Some(own) = own.filter(|_| walked.iter().all(|v| v.seen.response().is_none_or(|r| !same_page(r, page)))) else { return Ok(None) };
    let Some(question) = like(answer, stranger) else { return Ok(None) };
    let reference = case.ask(with_limit(case, question))?;
    let Some(theirs) = reference.response() else {
        return Err(Missing::Fact(format!("{reference}, which shows nothing of a host that nobody has")));
    };
    // Where another rule has the same claim, which of both the gateway keeps is the question.
    if !same_page(theirs, page) || !rivals::of(case, ingress)?.is_empty() {
        return Ok(None);
    }
    Ok(Some(Unserved { answer, reference, direct: own.seen }))
}

/// The same page: status and body.
pub fn same_page(a: &Response, b: &Response) -> bool {
    a.status == b.status && a.body_hash == b.body_hash
}

/// A page that servers show for what they do not know, with a status of success: Caddy's blank one, the distributions' welcome pages.
fn is_placeholder(response: &Response) -> bool {
    let caddy = response.header("server").is_some_and(|s| s.eq_ignore_ascii_case("caddy"));
    let start = response.body_start.as_str();
    response.status == 200
        && ((caddy && response.body_length == 0) || start.contains("Welcome to nginx!") || start.contains("<h1>It works!</h1>"))
}

/// Whether a rule of any Ingress is for this host.
pub fn has_rule(case: &Case<'_>, host: &str) -> bool {
    let parent = host.split_once('.').map(|(_, parent)| format!("*.{parent}")).unwrap_or_default();
    case.snapshot.ingresses_for_host(host).next().is_some() || case.snapshot.ingresses_for_host(&parent).next().is_some()
}

/// Another name in Host header and handshake.
pub fn rename(request: &mut Request, name: &str) {
    request.host = name.to_owned();
    request.server_name = Some(name.to_owned());
}

/// The request of a host that nobody has, as the engine asks it.
pub fn stranger(request: &mut Request) {
    rename(request, NO_SUCH_HOST);
    request.path = "/no-such-route".into();
}

/// The request of an observation with a change.
pub fn like(observation: &Observation, change: impl FnOnce(&mut Request)) -> Option<Probe> {
    let Question::Request(request) = &observation.probe.question else { return None };
    let mut request = (**request).clone();
    change(&mut request);
    Some(Probe::new(Question::Request(request.into())))
}

/// A probe within the walking limit.
pub fn with_limit(case: &Case<'_>, probe: Probe) -> Probe {
    Probe { timeout: case.timeout, ..probe }
}

/// The Ingress under judgement.
pub fn ingress_of(case: &Case<'_>) -> Result<Option<std::sync::Arc<Ingress>>, Missing> {
    if case.target().kind != Kind::Ingress {
        return Ok(None);
    }
    Ok(known(&case.snapshot.ingress(&case.target().key), "the Ingress")?.cloned())
}

//! From judged paths to the document: verdict, message, conditions, and what is kept from the document before.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::{AnsweredBy, Confidence, DiagnosisStatus, Finding, RouteStatus, Severity, Transition, Verdict};
use crate::causes::{EndToEnd, Missing, Observations};
use crate::path::Path;
use crate::snapshot::objects::{Kind, ObjectRef};

use super::answers::Answers;
use super::beat::Beat;
use super::hops;
use super::rank::Judged;

/// Findings and routes shown at most, so that a status stays far below 64 KiB.
const MOST_FINDINGS: usize = 10;
const MOST_ROUTES: usize = 50;
const MOST_HISTORY: usize = 10;
/// Where the causes are documented.
const DOCS: &str = "https://github.com/culprit-dev/culprit/blob/main/docs/causes";

/// What a diagnosis comes to, before time and history are added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conclusion {
    status: DiagnosisStatus,
    probed: Option<String>,
    stalled: Option<String>,
    /// How long the slowest answer took, where every route works.
    pub took: Option<Duration>,
    /// The first requests through the gateway, to be asked between this examination and the next.
    pub beats: Vec<Beat>,
    /// Causes that could not be judged, with what is missing; for explaining, not for the resource.
    pub unknown: Vec<(String, String)>,
    /// Causes that hold and that others explain, with their confidence; for explaining, not for the resource.
    pub hidden: Vec<(String, Confidence)>,
}

type JudgedRoute<'a> = (&'a Path, Answers<'a>, Judged, AnsweredBy);

impl Conclusion {
    /// A target that could not be looked at.
    pub fn unseen(target: &ObjectRef, why: String) -> Self {
        let status = DiagnosisStatus {
            target: Some(target.argument()),
            verdict: Verdict::Unknown,
            message: Some(sentence(&why)),
            answered_by: Some(AnsweredBy::Unknown),
            ..DiagnosisStatus::default()
        };
        Conclusion { status, probed: Some(why), ..Conclusion::default() }
    }

    /// A target whose settings cannot be read: nothing goes on until somebody changes them (kstatus' Stalled).
    pub fn stalled(target: &ObjectRef, why: String) -> Self {
        Conclusion { stalled: Some(sentence(&why)), ..Conclusion::unseen(target, why) }
    }

    /// Puts the judged routes of a target together. The worst route is the target's verdict.
    pub(super) fn of(target: &ObjectRef, routes: Vec<JudgedRoute<'_>>, seen: &Observations) -> Self {
        if routes.is_empty() {
            return Conclusion::unseen(target, without_routes(target));
        }
        let verdicts: Vec<Verdict> = routes.iter().map(|(_, answers, judged, _)| verdict(answers, judged)).collect();
        let worst = (0..routes.len()).max_by_key(|i| (verdicts[*i], std::cmp::Reverse(*i))).unwrap_or_default();
        let (path, answers, judged, by) = &routes[worst];
        let fault = judged.findings.first().filter(|_| verdicts[worst] != Verdict::Healthy).map(|f| f.hop);
        let mut status = DiagnosisStatus {
            target: Some(target.argument()),
            verdict: verdicts[worst],
            cause: judged.findings.first().map(|f| f.cause.clone()),
            hop: fault,
            message: Some(message(path, verdicts[worst], answers, judged)),
            answered_by: (verdicts[worst] != Verdict::Healthy).then_some(*by),
            hops: hops::of(path, verdicts[worst], fault, *by, seen),
            ..DiagnosisStatus::default()
        };
        let mut order: Vec<usize> = (0..routes.len()).collect();
        order.sort_by_key(|i| (*i != worst, *i));
        for i in order.iter().copied() {
            let findings = routes[i].2.findings.iter().filter_map(|f| index_of(&mut status.findings, f)).collect();
            let route = &routes[i].0.route;
            status.routes.push(RouteStatus { host: route.host.clone(), path: route.path.clone(), verdict: verdicts[i], findings });
        }
        status.routes.truncate(MOST_ROUTES);
        let probed = routes.iter().find_map(|(_, answers, _, _)| match &answers.end_to_end {
            EndToEnd::NotAsked(why) => Some(why.clone()),
            EndToEnd::Works | EndToEnd::Partly { .. } | EndToEnd::Fails => None,
        });
        let mut unknown: Vec<(String, String)> = Vec::new();
        for (slug, missing) in order.iter().flat_map(|i| &routes[*i].2.unknown) {
            if !unknown.iter().any(|(known, _)| known == slug) {
                unknown.push(((*slug).to_owned(), missing_text(missing)));
            }
        }
        let healthy = verdicts[worst] == Verdict::Healthy;
        let took = routes.iter().flat_map(|(_, answers, _, _)| &answers.successes).map(|o| o.took).max().filter(|_| healthy);
        let hidden = judged.hidden.iter().map(|f| (f.cause.clone(), f.confidence)).collect();
        Conclusion { status, probed, stalled: None, took, beats: Vec::new(), unknown, hidden }
    }

    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        self.status.verdict
    }

    /// Whether requests fail and nothing is known to explain it.
    pub fn fails_without_cause(&self) -> bool {
        matches!(self.status.verdict, Verdict::Failing | Verdict::Degraded) && !has_cause(&self.status)
    }

    /// The status at a time, without a document before it.
    pub fn into_status(self, now: Timestamp, generation: Option<i64>) -> DiagnosisStatus {
        succeed(&DiagnosisStatus::default(), self, now, generation)
    }
}

/// Whether the first finding is more than a possibility. What is no more may as well be a gateway that is still busy with a change.
pub fn has_cause(status: &DiagnosisStatus) -> bool {
    status.findings.first().is_some_and(|f| f.confidence < Confidence::Possible)
}

fn without_routes(target: &ObjectRef) -> String {
    match target.kind {
        Kind::Container => format!("container {} sends no requests on, as far as its configuration is understood", target.key.name),
        _ => format!("{target} has no rule and no default backend"),
    }
}

fn missing_text(missing: &Missing) -> String {
    match missing {
        Missing::Probes(probes) => probes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        Missing::Fact(fact) => fact.clone(),
    }
}

fn verdict(answers: &Answers<'_>, judged: &Judged) -> Verdict {
    let worst = judged.findings.iter().map(|f| f.severity).min();
    match (&answers.end_to_end, worst) {
        (EndToEnd::Fails, _) => Verdict::Failing,
        (EndToEnd::Partly { .. }, _) => Verdict::Degraded,
        (_, Some(Severity::Error)) => Verdict::Failing,
        (_, Some(Severity::Warning)) => Verdict::Degraded,
        (EndToEnd::Works, None) => Verdict::Healthy,
        (EndToEnd::NotAsked(_), None) => Verdict::Unknown,
    }
}

fn message(path: &Path, verdict: Verdict, answers: &Answers<'_>, judged: &Judged) -> String {
    if let Some(finding) = judged.findings.first() {
        return finding.message.clone();
    }
    let title = path.route.title();
    if let Some(split) = &judged.split {
        return format!("{title} fails for some requests, and no known cause fits what was seen. {split}");
    }
    match (&answers.end_to_end, answers.failures.first()) {
        (EndToEnd::NotAsked(why), _) => format!("{title} was not seen: {}.", why.trim_end_matches('.')),
        (EndToEnd::Works, _) if verdict == Verdict::Healthy => format!("{title} answers as expected."),
        (_, Some(failure)) => format!("{title} fails ({}), and no known cause fits what was seen.", failure.outcome_text()),
        _ => format!("{title} cannot be reached, and no known cause fits what was seen."),
    }
}

fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), chars.as_str()))
}

/// The index of a finding in the list, added where it is not there yet and the list is not full.
fn index_of(findings: &mut Vec<Finding>, finding: &Finding) -> Option<u32> {
    let same = |f: &Finding| f.cause == finding.cause && f.objects == finding.objects;
    let at = findings.iter().position(same).or_else(|| {
        (findings.len() < MOST_FINDINGS).then(|| {
            findings.push(Finding { docs: Some(format!("{DOCS}/{}.md", finding.cause)), ..finding.clone() });
            findings.len() - 1
        })
    })?;
    u32::try_from(at).ok()
}

/// The status that follows another: times and history go on where verdict and cause are the same.
pub fn succeed(before: &DiagnosisStatus, conclusion: Conclusion, now: Timestamp, generation: Option<i64>) -> DiagnosisStatus {
    let Conclusion { mut status, probed, stalled, .. } = conclusion;
    status.observed_generation = generation;
    status.conditions = conditions(&status, probed.as_deref(), stalled, now);
    carry_over(before, status, now, generation)
}

/// Takes times and history over from the status before.
pub fn carry_over(before: &DiagnosisStatus, mut status: DiagnosisStatus, now: Timestamp, generation: Option<i64>) -> DiagnosisStatus {
    let now_text = rounded(now).to_string();
    let same = before.since.is_some() && before.verdict == status.verdict && before.cause == status.cause;
    status.since = if same { before.since.clone() } else { Some(now_text.clone()) };
    status.history = before.history.clone();
    if !same {
        status.history.insert(0, Transition { at: now_text.clone(), verdict: status.verdict, cause: status.cause.clone() });
        status.history.truncate(MOST_HISTORY);
    }
    for finding in &mut status.findings {
        let earlier = before.findings.iter().find(|f| f.cause == finding.cause && f.objects == finding.objects);
        finding.since = earlier.and_then(|f| f.since.clone()).or_else(|| Some(now_text.clone()));
    }
    status.observed_generation = generation;
    for condition in &mut status.conditions {
        condition.observed_generation = generation;
        let earlier = before.conditions.iter().find(|c| c.type_ == condition.type_ && c.status == condition.status);
        if let Some(earlier) = earlier {
            condition.last_transition_time = earlier.last_transition_time.clone();
        }
    }
    status
}

/// What of a status the next one carries on ([`carry_over`]): times and history, and what they belong to.
pub fn carried_over(status: DiagnosisStatus) -> DiagnosisStatus {
    let finding = |f: Finding| Finding { cause: f.cause, objects: f.objects, since: f.since, ..Finding::default() };
    let condition = |c: Condition| Condition { reason: String::new(), message: String::new(), ..c };
    DiagnosisStatus {
        verdict: status.verdict,
        cause: status.cause,
        since: status.since,
        conditions: status.conditions.into_iter().map(condition).collect(),
        findings: status.findings.into_iter().map(finding).collect(),
        history: status.history,
        ..DiagnosisStatus::default()
    }
}

fn conditions(status: &DiagnosisStatus, not_probed: Option<&str>, stalled: Option<String>, now: Timestamp) -> Vec<Condition> {
    let (healthy, reason) = match (status.verdict, &status.cause) {
        (Verdict::Healthy, _) => ("True", "Healthy".to_owned()),
        (Verdict::Unknown, _) => ("Unknown", "NotSeen".to_owned()),
        (_, Some(cause)) => ("False", camel_case(cause)),
        (_, None) => ("False", "NoKnownCause".to_owned()),
    };
    let message = status.message.clone().unwrap_or_default();
    let (probed, probed_reason, probed_message) = match not_probed {
        None => ("True", "Asked", "Every route was asked end to end.".to_owned()),
        Some(why) => ("False", "NotAsked", sentence(why)),
    };
    let condition = |type_: &str, status: &str, reason: &str, message: String| Condition {
        type_: type_.into(),
        status: status.into(),
        reason: reason.into(),
        message,
        last_transition_time: Time(rounded(now)),
        observed_generation: None,
    };
    let mut all = vec![condition("Healthy", healthy, &reason, message), condition("Probed", probed, probed_reason, probed_message)];
    all.extend(stalled.map(|why| condition("Stalled", "True", "InvalidSpec", why)));
    all
}

/// `svc-targetport-wrong` as `SvcTargetportWrong`.
pub(crate) fn camel_case(slug: &str) -> String {
    let words = slug.split('-').filter(|w| !w.is_empty());
    words.map(|w| w[..1].to_uppercase() + &w[1..]).collect()
}

/// Times in a resource are whole seconds, as the API's own are.
pub(crate) fn rounded(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

impl std::fmt::Display for Conclusion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.status.verdict, self.status.message.as_deref().unwrap_or_default())
    }
}

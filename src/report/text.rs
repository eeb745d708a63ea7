//! What an engineer on call reads in five seconds: the verdict, the row of hops, the proof, the command that mends it.

mod finding;
mod hops;
mod page;

use std::collections::BTreeSet;

use crate::api::{AnsweredBy, Diagnosis, DiagnosisStatus, Hop, TargetKind, Verdict};

pub use page::Format;
use page::{BLUE, BOLD, GREEN, Page, RED, YELLOW};

/// Targets explained in full at most; the table shows the others.
const MOST_EXPLAINED: usize = 20;
/// Missing facts named at most.
const MOST_MISSING: usize = 5;

/// One target's document, with what only a reader wants to know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The document.
    pub document: Diagnosis,
    /// Causes that could not be judged, with what is missing.
    pub unknown: Vec<(String, String)>,
}

impl Report {
    /// The judgement.
    pub fn verdict(&self) -> Verdict {
        self.document.status.as_ref().map_or(Verdict::Unknown, |s| s.verdict)
    }

    fn status(&self) -> DiagnosisStatus {
        self.document.status.clone().unwrap_or_default()
    }
}

/// The reports as text: a table where there are several, then everything that is not healthy in full, then the counts.
pub fn of(reports: &[Report], format: &Format) -> String {
    let mut page = Page::new(format);
    if let [one] = reports {
        explain(&mut page, one);
        return page.finish();
    }
    table(&mut page, reports);
    let troubled: Vec<&Report> = reports.iter().filter(|r| r.verdict() != Verdict::Healthy).collect();
    for report in troubled.iter().take(MOST_EXPLAINED) {
        page.blank();
        explain(&mut page, report);
    }
    page.blank();
    if troubled.len() > MOST_EXPLAINED {
        page.line(&format!("{} more are not healthy; name one to see why.", troubled.len() - MOST_EXPLAINED));
    }
    page.line(&summary(reports));
    page.finish()
}

fn summary(reports: &[Report]) -> String {
    let count = |wanted: Verdict| reports.iter().filter(|r| r.verdict() == wanted).count();
    format!(
        "{} targets: {} failing, {} degraded, {} unknown, {} healthy.",
        reports.len(),
        count(Verdict::Failing),
        count(Verdict::Degraded),
        count(Verdict::Unknown),
        count(Verdict::Healthy)
    )
}

fn colour(verdict: Verdict) -> anstyle::Style {
    match verdict {
        Verdict::Healthy => GREEN,
        Verdict::Degraded => YELLOW,
        Verdict::Failing => RED,
        Verdict::Unknown => BLUE,
    }
}

fn table(page: &mut Page<'_>, reports: &[Report]) {
    let of_docker = reports.iter().all(|r| r.document.spec.target.host.is_some());
    let heading =
        [if of_docker { "HOST" } else { "NAMESPACE" }, "TARGET", "VERDICT", "HOP", "CAUSE"].map(|h| (h.to_owned(), BOLD)).to_vec();
    let row = |report: &Report| {
        let status = report.status();
        let plain = anstyle::Style::new();
        vec![
            (home(&report.document).to_owned(), plain),
            (status.target.unwrap_or_default(), plain),
            (status.verdict.to_string(), colour(status.verdict)),
            (status.hop.map_or_else(|| "-".into(), |hop| hop.to_string()), plain),
            (status.cause.unwrap_or_else(|| "-".into()), plain),
        ]
    };
    page.table(&std::iter::once(heading).chain(reports.iter().map(row)).collect::<Vec<_>>());
}

fn explain(page: &mut Page<'_>, report: &Report) {
    let status = report.status();
    let place = place(&report.document);
    let verdict = (status.verdict.to_string(), colour(status.verdict));
    let target = (format!("{}{place}", status.target.as_deref().unwrap_or_default()), BOLD);
    let message = status.message.as_deref().unwrap_or_default();
    if status.verdict == Verdict::Healthy {
        page.row(&[verdict, target, (message.to_owned(), anstyle::Style::new())]);
        return;
    }
    // A Service is asked for itself: it has no rule.
    let of_service = report.document.spec.target.kind == TargetKind::Service;
    let route = status.routes.first().filter(|_| !of_service);
    let route = route.map(|r| (format!("{}{}", r.host.as_deref().unwrap_or("*"), r.path), anstyle::Style::new()));
    let first = status.findings.first();
    let cause = first.map(|f| (format!("{} ({})", f.cause, f.confidence), BOLD));
    page.row(&[verdict, target].into_iter().chain(route).chain(cause).collect::<Vec<_>>());
    page.paragraph(message);
    let hops: Vec<_> = status.hops.iter().filter(|h| !(of_service && h.hop == Hop::Route)).cloned().collect();
    hops::row(page, &hops);
    page.blank();
    if let Some(finding) = first {
        finding::explain(page, finding);
    }
    page.fields("Answered", status.answered_by.and_then(answered).map(str::to_owned));
    routes(page, &status);
    finding::others(page, &status.findings);
    missing(page, report, first.is_some());
    page.fields("Asked from", Some(page.vantage().to_owned()));
    page.fields("More", first.map(|f| format!("culprit explain {}", f.cause)));
}

/// The namespace or the Docker host of a target.
fn home(document: &Diagnosis) -> &str {
    document.spec.target.host.as_deref().or(document.metadata.namespace.as_deref()).unwrap_or_default()
}

/// Where a target is, as a command takes it: ` -n shop`, or ` on dock` for a container.
fn place(document: &Diagnosis) -> String {
    match (&document.spec.target.host, &document.metadata.namespace) {
        (Some(host), _) => format!(" on {host}"),
        (None, namespace) => format!(" -n {}", namespace.as_deref().unwrap_or_default()),
    }
}

fn answered(by: AnsweredBy) -> Option<&'static str> {
    match by {
        AnsweredBy::Gateway => Some("by the gateway itself"),
        AnsweredBy::Application => Some("by the application; the gateway passed it on"),
        AnsweredBy::InnerProxy => Some("by a proxy between the gateway and the application"),
        AnsweredBy::Edge => Some("by something before the gateway"),
        AnsweredBy::Nobody => Some("by nobody"),
        AnsweredBy::Unknown => None,
    }
}

fn routes(page: &mut Page<'_>, status: &DiagnosisStatus) {
    if status.routes.len() < 2 {
        return;
    }
    let shown = status.routes.iter().map(|route| {
        let cause = route.findings.first().and_then(|i| status.findings.get(usize::try_from(*i).ok()?));
        let cause = cause.map(|f| format!("  {}", f.cause)).unwrap_or_default();
        format!("{:<8}  {}{}{cause}", route.verdict.to_string(), route.host.as_deref().unwrap_or("*"), route.path)
    });
    page.fields("Routes", shown);
}

/// What would tell, where nothing is known to be at fault.
fn missing(page: &mut Page<'_>, report: &Report, found: bool) {
    if found {
        return;
    }
    let mut facts: Vec<(&str, Vec<&str>)> = Vec::new();
    for (cause, fact) in &report.unknown {
        let fact = brief(fact);
        match facts.iter_mut().find(|(known, _)| *known == fact) {
            Some((_, causes)) => causes.push(cause),
            None => facts.push((fact, vec![cause])),
        }
    }
    facts.sort_by_key(|(_, causes)| std::cmp::Reverse(causes.len()));
    let shown = facts.iter().take(MOST_MISSING).map(|(fact, causes)| match causes.as_slice() {
        [] => (*fact).to_owned(),
        [one] => format!("{fact}: cannot tell whether it is {one}"),
        [one, another] => format!("{fact}: cannot tell whether it is {one} or {another}"),
        [one, another, rest @ ..] => format!("{fact}: cannot tell whether it is {one}, {another} or {} more", rest.len()),
    });
    page.fields("Missing", shown);
    let forbidden: BTreeSet<&str> = facts.iter().filter_map(|(fact, _)| fact.strip_suffix(FORBIDDEN)?.split(' ').next_back()).collect();
    let right =
        (!forbidden.is_empty()).then(|| format!("ask for the right to list {}", forbidden.into_iter().collect::<Vec<_>>().join(", ")));
    page.fields("To tell", page.advice().map(str::to_owned).or(right));
}

/// How the API server begins its sentence about a missing right, which goes on with who asked for what.
const FORBIDDEN: &str = " is forbidden";

fn brief(fact: &str) -> &str {
    fact.find(FORBIDDEN).map_or(fact, |at| &fact[..at + FORBIDDEN.len()])
}

#[cfg(test)]
mod tests;

//! Which finding is the answer: the causes that hold, those they explain away, and their order.

use std::collections::BTreeSet;

use super::versions::{self, Split};
use crate::api::{Confidence, Finding};
use crate::causes::{self, Case, Cause, EndToEnd, Missing, Platform, When};

/// What judging every cause of one path gave.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// Findings, the answer first.
    pub findings: Vec<Finding>,
    /// Findings that others explain.
    pub hidden: Vec<Finding>,
    /// Whether one version of the workload fails and another works.
    pub split: Option<Split>,
    /// Causes that could not be judged, with what is missing.
    pub unknown: Vec<(&'static str, Missing)>,
}

/// Judges every cause of a path.
pub fn judge(case: &Case<'_>) -> Judged {
    let works = *case.end_to_end == EndToEnd::Works;
    let mut judged = Judged::default();
    let here = |c: &Cause| c.platform == Platform::Everywhere || c.platform == case.platform();
    for cause in causes::all().filter(|c| here(c) && (!works || c.when == When::Always)) {
        match (cause.check)(case) {
            Ok(Some(finding)) => judged.findings.push(capped(finding, case)),
            Ok(None) => {}
            Err(missing) => judged.unknown.push((cause.slug, missing)),
        }
    }
    judged.hidden = take_explained(&mut judged.findings);
    judged.findings.sort_by_key(order);
    judged.split = if works { None } else { versions::split(case) };
    if let Some(split) = &judged.split {
        judged.findings.iter_mut().for_each(|f| split.note(f));
    }
    judged
}

/// What was not seen to fail end to end is not proven to fail.
fn capped(mut finding: Finding, case: &Case<'_>) -> Finding {
    if matches!(case.end_to_end, EndToEnd::NotAsked(_)) && finding.confidence == Confidence::Proven {
        finding.confidence = Confidence::Likely;
    }
    finding
}

/// A cause that explains another hides it, and what that one explains too.
fn take_explained(findings: &mut Vec<Finding>) -> Vec<Finding> {
    let mut hidden: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&str> = findings.iter().map(|f| f.cause.as_str()).collect();
    while let Some(slug) = open.pop() {
        for explained in causes::by_slug(slug).map_or(&[][..], |c| c.explains) {
            if hidden.insert(explained) {
                open.push(explained);
            }
        }
    }
    let hidden: BTreeSet<String> = hidden.into_iter().map(str::to_owned).collect();
    findings.extract_if(.., |f| hidden.contains(&f.cause)).collect()
}

/// Errors before warnings, proven before likely before possible, then the hop nearest to the client.
fn order(finding: &Finding) -> impl Ord + use<> {
    (finding.severity, finding.confidence, finding.hop, finding.cause.clone())
}

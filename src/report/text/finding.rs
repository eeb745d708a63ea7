//! One finding: proof, evidence, and how to mend it.

use super::page::Page;
use crate::api::{Evidence, Finding};

/// Lines of evidence shown at most.
const MOST_EVIDENCE: usize = 6;

/// The finding that is the answer.
pub(super) fn explain(page: &mut Page<'_>, finding: &Finding) {
    let proof: Vec<String> = finding.proof.iter().flat_map(|p| [p.failing.clone(), p.passing.clone()]).collect();
    let line = |e: &Evidence| match e.vantage.as_deref().filter(|v| *v != page.vantage()) {
        Some(vantage) => format!("{} (from {vantage})", e.text),
        None => e.text.clone(),
    };
    // What stands in the proof is not said twice.
    let fresh: Vec<_> = finding.evidence.iter().filter(|e| !proof.contains(&e.text) && !proof.contains(&line(e))).collect();
    let mut evidence: Vec<String> = fresh.iter().take(MOST_EVIDENCE).map(|e| line(e)).collect();
    if fresh.len() > MOST_EVIDENCE {
        evidence.push(format!("and {} more; -o yaml has all", fresh.len() - MOST_EVIDENCE));
    }
    page.exact("Proof", proof);
    page.fields("Evidence", evidence);
    if let Some(fix) = &finding.fix {
        page.fields("Fix", Some(fix.summary.clone()));
        page.exact(if fix.summary.is_empty() { "Fix" } else { "" }, fix.commands.iter().cloned());
    }
}

/// The findings below the first.
pub(super) fn others(page: &mut Page<'_>, findings: &[Finding]) {
    page.fields("Also", findings.iter().skip(1).map(|f| format!("{} ({}): {}", f.cause, f.confidence, f.message)));
}

//! What an engineer on call reads in five seconds.

use std::fmt::Write;

use anstyle::{AnsiColor, Style as Colour};
use comfy_table::{Table, presets};

use super::escape::line;
use crate::api::{Diagnosis, DiagnosisStatus, Finding, HopState, HopStatus, Verdict};

const RED: Colour = AnsiColor::Red.on_default().bold();
const YELLOW: Colour = AnsiColor::Yellow.on_default().bold();
const GREEN: Colour = AnsiColor::Green.on_default().bold();
const BLUE: Colour = AnsiColor::Cyan.on_default().bold();
const BOLD: Colour = Colour::new().bold();
const DIM: Colour = Colour::new().dimmed();
/// Targets explained in full; the table shows the others.
const MOST_EXPLAINED: usize = 20;

/// How the row of hops is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// With marks and arrows of Unicode.
    Unicode,
    /// With ASCII alone.
    Ascii,
}

impl Style {
    fn mark(self, state: HopState) -> &'static str {
        match (self, state) {
            (Style::Unicode, HopState::Passing) => "✓",
            (Style::Unicode, HopState::Failing) => "✗",
            (Style::Unicode, HopState::NotReached) => "·",
            (_, HopState::Unknown) => "?",
            (Style::Ascii, HopState::Passing) => "ok",
            (Style::Ascii, HopState::Failing) => "XX",
            (Style::Ascii, HopState::NotReached) => "-",
        }
    }

    fn arrow(self) -> &'static str {
        if self == Style::Unicode { " → " } else { " > " }
    }
}

/// The documents as text: a table where there are several, then everything that is not healthy in full.
pub fn of(documents: &[Diagnosis], style: Style) -> String {
    let mut text = String::new();
    if let [one] = documents {
        explain(&mut text, one, style);
        return text;
    }
    text.push_str(&table(documents));
    let troubled: Vec<&Diagnosis> = documents.iter().filter(|d| verdict(d) != Verdict::Healthy).collect();
    for document in troubled.iter().take(MOST_EXPLAINED) {
        text.push('\n');
        explain(&mut text, document, style);
    }
    if troubled.len() > MOST_EXPLAINED {
        let _ = writeln!(text, "\n{} more are not healthy; name one to see why.", troubled.len() - MOST_EXPLAINED);
    }
    let count = |wanted: Verdict| documents.iter().filter(|d| verdict(d) == wanted).count();
    let _ = writeln!(
        text,
        "\n{} targets: {} failing, {} degraded, {} unknown, {} healthy.",
        documents.len(),
        count(Verdict::Failing),
        count(Verdict::Degraded),
        count(Verdict::Unknown),
        count(Verdict::Healthy)
    );
    text
}

fn verdict(document: &Diagnosis) -> Verdict {
    document.status.as_ref().map_or(Verdict::Unknown, |s| s.verdict)
}

fn colour(verdict: Verdict) -> Colour {
    match verdict {
        Verdict::Healthy => GREEN,
        Verdict::Degraded => YELLOW,
        Verdict::Failing => RED,
        Verdict::Unknown => BLUE,
    }
}

fn table(documents: &[Diagnosis]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["NAMESPACE", "TARGET", "VERDICT", "CAUSE"]);
    for document in documents {
        let status = document.status.clone().unwrap_or_default();
        let namespace = document.metadata.namespace.clone().unwrap_or_default();
        let target = status.target.unwrap_or_default();
        table.add_row([line(&namespace), line(&target), status.verdict.to_string(), status.cause.unwrap_or_default()]);
    }
    table.lines().fold(String::new(), |mut text, row| {
        let _ = writeln!(text, "{}", row.trim());
        text
    })
}

fn explain(text: &mut String, document: &Diagnosis, style: Style) {
    let status = document.status.clone().unwrap_or_default();
    let namespace = document.metadata.namespace.clone().unwrap_or_default();
    let tint = colour(status.verdict);
    let first = status.findings.first();
    let cause = first.map(|f| format!("  {BOLD}{}{BOLD:#} ({}, {} hop)", f.cause, f.confidence, f.hop)).unwrap_or_default();
    let target = status.target.clone().unwrap_or_default();
    let _ = writeln!(text, "{tint}{}{tint:#}  {}  -n {}{cause}", status.verdict, line(&target), line(&namespace));
    let _ = writeln!(text, "  {}", line(status.message.as_deref().unwrap_or_default()));
    if status.verdict == Verdict::Healthy {
        return;
    }
    hops(text, &status, style);
    if let Some(by) = status.answered_by {
        field(text, "Answered by", &by.to_string());
    }
    if let Some(finding) = first {
        explain_finding(text, finding);
    }
    routes(text, &status);
    others(text, &status);
    if let Some(finding) = first {
        field(text, "More", &format!("culprit explain {}", finding.cause));
    }
}

fn field(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "  {BOLD}{name:<12}{BOLD:#}{}", line(value));
}

fn follow(text: &mut String, value: &str) {
    let _ = writeln!(text, "  {:<12}{}", "", line(value));
}

fn hops(text: &mut String, status: &DiagnosisStatus, style: Style) {
    if status.hops.is_empty() {
        return;
    }
    let cell = |hop: &HopStatus| {
        let tint = match hop.state {
            HopState::Passing => GREEN,
            HopState::Failing => RED,
            HopState::NotReached => DIM,
            HopState::Unknown => BLUE,
        };
        format!("{tint}{} {}{tint:#}", hop.hop, style.mark(hop.state))
    };
    let row: Vec<String> = status.hops.iter().map(cell).collect();
    let _ = writeln!(text, "\n  {}", row.join(style.arrow()));
    if let Some(hop) = status.hops.iter().find(|h| h.state == HopState::Failing) {
        let detail = hop.detail.as_ref().map(|d| format!(" ({d})")).unwrap_or_default();
        let _ = writeln!(text, "  {}", line(&format!("at {} {}{detail}", hop.hop, hop.objects.join(", "))));
    }
    text.push('\n');
}

fn explain_finding(text: &mut String, finding: &Finding) {
    if let Some(proof) = &finding.proof {
        field(text, "Proof", &proof.failing);
        follow(text, &proof.passing);
    }
    let proven: Vec<&str> = finding.proof.iter().flat_map(|p| [p.failing.as_str(), p.passing.as_str()]).collect();
    let fresh = finding.evidence.iter().filter(|e| !proven.contains(&e.text.as_str()));
    for (index, evidence) in fresh.enumerate() {
        let vantage = evidence.vantage.as_ref().map(|v| format!(" (from {v})")).unwrap_or_default();
        let shown = format!("{}{vantage}", evidence.text);
        if index == 0 { field(text, "Evidence", &shown) } else { follow(text, &shown) }
    }
    if let Some(fix) = &finding.fix {
        field(text, "Fix", &fix.summary);
        for command in &fix.commands {
            follow(text, command);
        }
    }
}

fn routes(text: &mut String, status: &DiagnosisStatus) {
    if status.routes.len() < 2 {
        return;
    }
    for (index, route) in status.routes.iter().enumerate() {
        let shown = format!("{}{}  {}", route.host.as_deref().unwrap_or("*"), route.path, route.verdict);
        if index == 0 { field(text, "Routes", &shown) } else { follow(text, &shown) }
    }
}

fn others(text: &mut String, status: &DiagnosisStatus) {
    for (index, finding) in status.findings.iter().skip(1).enumerate() {
        let shown = format!("{} ({}): {}", finding.cause, finding.confidence, finding.message);
        if index == 0 { field(text, "Also", &shown) } else { follow(text, &shown) }
    }
}

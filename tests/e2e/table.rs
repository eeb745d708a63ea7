//! The table of all faults: what each was named, how fast, and how often each confidence was right.

use std::time::Duration;

use culprit::api::Confidence;

/// What came of a fault.
#[derive(Default)]
pub struct Row {
    pub name: String,
    pub named: String,
    pub confidence: Option<Confidence>,
    pub right: bool,
    /// From the change that makes the fault, pods' own changes included.
    pub to_status: Option<Duration>,
    /// From when a client's requests began to fail for good.
    pub from_failure: Option<Duration>,
    pub to_healthy: Option<Duration>,
    pub wrong: Vec<String>,
    /// Whether something else was named, and as proven.
    pub proven_wrong: bool,
    /// What went wrong where it was made for the first time, among others; it was made again alone.
    pub at_first: Vec<String>,
}

impl Row {
    /// Whether it may be made again: a busy machine excuses what came late or not at all, never a proof of what is not so.
    pub fn deserves_another(&self) -> bool {
        !self.wrong.is_empty() && !self.proven_wrong
    }
}

/// Prints the table, the times, and how often each confidence was right. Returns what went wrong.
#[expect(clippy::print_stdout, reason = "the table is what a reader of the test's output looks for")]
pub fn print(mut rows: Vec<Row>) -> Vec<String> {
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let seconds = |d: Option<Duration>| d.map_or_else(|| "-".into(), |d| format!("{:.1}s", d.as_secs_f64()));
    println!("{:<36} {:<36} {:<10} {:>9} {:>9} {:>9}", "FAULT", "NAMED", "CONFIDENCE", "TO NAME", "FAILING", "TO HEAL");
    for row in &rows {
        let confidence = row.confidence.map(|c| c.to_string()).unwrap_or_default();
        let (name, failing, heal) = (seconds(row.to_status), seconds(row.from_failure), seconds(row.to_healthy));
        println!("{:<36} {:<36} {confidence:<10} {name:>9} {failing:>9} {heal:>9}", row.name, row.named);
    }
    println!();
    println!("fault made → named, pods' own changes included: {}", quantiles(rows.iter().filter_map(|r| r.to_status).collect()));
    println!("requests fail → named: {}", quantiles(rows.iter().filter_map(|r| r.from_failure).collect()));
    for confidence in [Confidence::Proven, Confidence::Likely, Confidence::Possible] {
        let of: Vec<&Row> = rows.iter().filter(|r| r.confidence == Some(confidence)).collect();
        println!("{confidence}: {} of {} right", of.iter().filter(|r| r.right).count(), of.len());
    }
    for row in rows.iter().filter(|r| !r.at_first.is_empty()) {
        println!("{} went wrong at first and was made again: {}", row.name, row.at_first.join("; "));
    }
    rows.iter().flat_map(|r| r.wrong.iter().map(|w| format!("{}: {w}", r.name))).collect()
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times.get((times.len() * share).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default().as_secs_f64();
    format!("p50 {:.1}s, p90 {:.1}s, p99 {:.1}s of {}", at(50), at(90), at(99), times.len())
}

//! The catalogue for reading: `culprit explain` and the pages under docs/causes.

use std::fmt::Write;

use anstyle::Style;
use comfy_table::{Table, presets};

use crate::causes::{self, Cause};

const BOLD: Style = Style::new().bold();
/// First line of every page, by which a page that was generated is known.
pub const GENERATED: &str = "<!-- Generated from src/causes by `make generate`; do not edit. -->";

/// All causes by group.
pub fn catalogue() -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["HOP", "CAUSE", "WHAT IT IS"]);
    for cause in causes::all() {
        table.add_row([cause.hop.to_string(), cause.slug.to_owned(), cause.summary.to_owned()]);
    }
    let lines: String = table.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", line.trim_end().trim_start_matches(' '));
        text
    });
    format!("{lines}\nculprit explain CAUSE tells all about one.\n")
}

/// One cause for the terminal.
pub fn explanation(cause: &Cause) -> String {
    let mut text = format!("{BOLD}{}{BOLD:#}  {}\n", cause.slug, cause.summary);
    let _ = writeln!(text, "{} hop; shows as {}; since {}\n", cause.hop, signatures(cause), cause.since);
    for line in cause.docs.trim().lines() {
        match line.strip_prefix("## ") {
            Some(heading) => {
                let _ = writeln!(text, "{BOLD}{heading}{BOLD:#}");
            }
            None => {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}

/// One cause as a page.
pub fn page(cause: &Cause) -> String {
    format!(
        "{GENERATED}\n# {}\n\n{}.\n\nHop: {}. Severity: {}. Shows as: {}. Since {}.\n\n{}\n",
        cause.slug,
        capital(cause.summary),
        cause.hop,
        cause.severity,
        signatures(cause),
        cause.since,
        cause.docs.trim()
    )
}

/// The pages' index.
pub fn index() -> String {
    let mut text = format!("{GENERATED}\n# Causes\n");
    for (group, causes) in causes::GROUPS {
        let _ = write!(text, "\n## {group}\n\n");
        for cause in *causes {
            let _ = writeln!(text, "- [{}]({}.md): {}", cause.slug, cause.slug, cause.summary);
        }
    }
    text
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn signatures(cause: &Cause) -> String {
    cause.signatures.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

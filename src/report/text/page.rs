//! Text under construction: colours, columns, wrapping. Everything that is put on a page is escaped here.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::report::escape;

pub(super) const RED: Style = AnsiColor::Red.on_default().bold();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
pub(super) const GREEN: Style = AnsiColor::Green.on_default().bold();
pub(super) const BLUE: Style = AnsiColor::Cyan.on_default().bold();
pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();

/// Columns before everything below the first line.
const INDENT: usize = 2;
/// Columns of a field's name.
const NAME: usize = 12;

/// How text is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Marks and lines of Unicode, or ASCII alone.
    pub unicode: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// Where it was asked from; none for manifests alone.
    pub vantage: Option<String>,
}

/// Text under construction.
#[derive(Debug)]
pub(super) struct Page<'a> {
    format: &'a Format,
    text: String,
}

impl<'a> Page<'a> {
    pub(super) fn new(format: &'a Format) -> Self {
        Page { format, text: String::new() }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// Text from outside, safe to show; without Culprit's own arrows where only ASCII is wanted.
    pub(super) fn safe(&self, text: &str) -> String {
        let safe = escape::line(text);
        if self.format.unicode { safe } else { safe.replace('→', "->").replace('…', "...") }
    }

    pub(super) fn is_unicode(&self) -> bool {
        self.format.unicode
    }

    /// Columns that are left beside the indent.
    pub(super) fn width(&self) -> usize {
        self.format.width.max(40) - INDENT
    }

    pub(super) fn vantage(&self) -> &'a str {
        self.format.vantage.as_deref().unwrap_or("nowhere: manifests alone were read")
    }

    /// What to do about missing facts.
    pub(super) fn advice(&self) -> Option<&'static str> {
        self.format.vantage.is_none().then_some("diagnose it in its cluster, without -f")
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A line of Culprit's own words.
    pub(super) fn line(&mut self, text: &str) {
        let text = self.safe(text);
        let _ = writeln!(self.text, "{text}");
    }

    /// A line below the first, of text that is coloured and escaped already.
    pub(super) fn drawn(&mut self, text: &str) {
        let _ = writeln!(self.text, "{:INDENT$}{}", "", text.trim_end());
    }

    /// Texts beside each other.
    pub(super) fn row(&mut self, cells: &[(String, Style)]) {
        let cells: Vec<String> = cells.iter().map(|(text, style)| paint(&self.safe(text), *style)).collect();
        let _ = writeln!(self.text, "{}", cells.join("  "));
    }

    /// Rows in columns.
    pub(super) fn table(&mut self, rows: &[Vec<(String, Style)>]) {
        let escaped: Vec<Vec<(String, Style)>> =
            rows.iter().map(|row| row.iter().map(|(text, style)| (self.safe(text), *style)).collect()).collect();
        let columns = escaped.first().map_or(0, Vec::len);
        let widths: Vec<usize> = (0..columns).map(|i| escaped.iter().map(|row| columns_of(&row[i].0)).max().unwrap_or(0)).collect();
        for row in &escaped {
            let mut line = String::new();
            for (i, (text, style)) in row.iter().enumerate() {
                let padding = if i + 1 == columns { 0 } else { widths[i] + 2 - columns_of(text) };
                let _ = write!(line, "{}{:padding$}", paint(text, *style), "");
            }
            let _ = writeln!(self.text, "{line}");
        }
    }

    /// A sentence, wrapped.
    pub(super) fn paragraph(&mut self, text: &str) {
        for line in wrap(&self.safe(text), self.width()) {
            self.drawn(&line);
        }
    }

    /// A name with values below each other, wrapped; nothing where there is no value.
    pub(super) fn fields(&mut self, name: &str, values: impl IntoIterator<Item = String>) {
        self.put(name, values, true);
    }

    /// The same, never wrapped: what is copied from here, such as a command, stays on its line.
    pub(super) fn exact(&mut self, name: &str, values: impl IntoIterator<Item = String>) {
        self.put(name, values, false);
    }

    fn put(&mut self, name: &str, values: impl IntoIterator<Item = String>, wrapped: bool) {
        let width = self.width() - NAME;
        let mut name = format!("{BOLD}{name:<NAME$}{BOLD:#}");
        for value in values {
            let value = self.safe(&value);
            let lines = if wrapped { wrap(&value, width) } else { vec![value] };
            for line in lines {
                let _ = writeln!(self.text, "{:INDENT$}{name}{line}", "");
                name = " ".repeat(NAME);
            }
        }
    }
}

/// Columns that a text takes; wide characters count as one, which only ever makes a line longer than wanted.
pub(super) fn columns_of(text: &str) -> usize {
    text.chars().count()
}

/// A text in a colour; nothing is added to a text without one.
pub(super) fn paint(text: &str, style: Style) -> String {
    if style == Style::new() { text.to_owned() } else { format!("{style}{text}{style:#}") }
}

/// Breaks a text at spaces; a word that is longer than a line has a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    if columns_of(text) <= width {
        return vec![text.to_owned()];
    }
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && columns_of(&line) + 1 + columns_of(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn a_line_breaks_at_spaces_and_never_within_a_word() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a-very-long-word is", 5), ["a-very-long-word", "is"]);
        assert_eq!(wrap("fits  as it is", 20), ["fits  as it is"]);
    }
}

//! HAProxy's files: lines of words, in sections.

use std::collections::BTreeMap;

use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::excerpt;
use crate::evidence::config::{Files, Place};
use crate::snapshot::objects::docker::Container;

/// Most lines that are read altogether.
const LINES: usize = 200_000;
/// What begins a section.
const SECTIONS: &[&str] = &[
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "resolvers",
    "peers",
    "mailers",
    "userlist",
    "cache",
    "program",
    "http-errors",
    "ring",
    "log-forward",
    "log-profile",
    "fcgi-app",
    "crt-store",
    "acme",
    "traces",
];

/// A line that is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its words, without quotes; at least one.
    pub words: Vec<String>,
    /// Where it stands.
    pub place: Place,
}

impl Line {
    /// A word, or nothing.
    pub fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }

    /// Whether it begins with these words.
    pub fn is(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(at, word)| self.word(at) == *word)
    }

    /// Where its condition begins: `if` or `unless`.
    pub fn condition(&self) -> Option<usize> {
        self.words.iter().position(|w| w == "if" || w == "unless")
    }
}

/// A section with its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its line: `backend app from common`.
    pub head: Line,
    /// The lines in it.
    pub lines: Vec<Line>,
    /// The `defaults` that hold in it, by their number among all sections.
    pub defaults: Option<usize>,
}

impl Section {
    /// `frontend`, `backend` …
    pub fn kind(&self) -> &str {
        self.head.word(0)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.head.word(1)
    }
}

/// The sections of some files, in their order.
pub fn read(files: &Files, paths: &[String], container: &Container, notes: &mut Notes) -> Vec<Section> {
    let mut variables: BTreeMap<String, String> = container.environment.iter().cloned().collect();
    let mut sections: Vec<Section> = Vec::new();
    let mut left = LINES;
    for path in paths {
        for (number, text) in files.get(path).map(String::as_str).unwrap_or_default().lines().enumerate() {
            let place = Place { file: path.clone(), line: number + 1 };
            let words = words(text, &variables);
            let Some(first) = words.first() else { continue };
            if left == 0 {
                notes.add(&place, "not read from here on, for the configuration is too large");
                return sections;
            }
            left -= 1;
            if first.starts_with('.') {
                notes.add(&place, format!("the condition {} is not evaluated; what follows is taken to hold", excerpt(text.trim())));
                continue;
            }
            if matches!(first.as_str(), "setenv" | "presetenv")
                && let [_, name, value, ..] = words.as_slice()
            {
                variables.insert(name.clone(), value.clone());
            }
            let line = Line { words, place };
            if SECTIONS.contains(&line.word(0)) {
                let defaults = defaults_of(&sections, &line);
                sections.push(Section { head: line, lines: Vec::new(), defaults });
            } else if let Some(section) = sections.last_mut() {
                section.lines.push(line);
            } else {
                notes.add(&line.place, format!("`{}` stands in no section", excerpt(line.word(0))));
            }
        }
    }
    sections
}

/// The `defaults` that a section takes: those that it names, else the last ones in front of it.
fn defaults_of(before: &[Section], head: &Line) -> Option<usize> {
    let named = head.words.iter().position(|w| w == "from").map(|at| head.word(at + 1));
    if head.word(0) == "defaults" && named.is_none() {
        return None;
    }
    before.iter().rposition(|s| s.kind() == "defaults" && named.is_none_or(|name| s.name() == name))
}

/// The words of a line up to a comment, with the variables that are known.
fn words(line: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') => break,
            (None | Some('"'), '\\') => word.get_or_insert_default().push(escaped(rest.next())),
            (None | Some('"'), '$') => {
                let (value, length) = variable(rest.as_str(), quote.is_some(), variables);
                word.get_or_insert_default().push_str(&value);
                rest = rest.as_str()[length..].chars();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn escaped(c: Option<char>) -> char {
    match c {
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some(c) => c,
        None => '\\',
    }
}

/// What stands for `NAME`, `{NAME}` or `{NAME-default}` behind a dollar, and how long it is. One that is not known stays as it is.
fn variable(rest: &str, is_quoted: bool, variables: &BTreeMap<String, String>) -> (String, usize) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let unchanged = ("$".to_owned(), 0);
    let (inner, length) = match rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
        Some((inner, _)) => (inner, inner.len() + 2),
        None if is_quoted => {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            (&rest[..end], end)
        }
        None => return unchanged,
    };
    let (name, default) = inner.split_once('-').map_or((inner, None), |(name, default)| (name, Some(default)));
    match variables.get(name).map(String::as_str).or(default) {
        Some(value) if !name.is_empty() => (value.to_owned(), length),
        _ => unchanged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart() {
        let variables = [("PORT".to_owned(), "80".to_owned())].into();
        for (line, expected) in [
            ("  bind :80 # comment", vec!["bind", ":80"]),
            (r#"a "b # c" 'd\' e\ f \#g"#, vec!["a", "b # c", "d\\", "e f", "#g"]),
            (r#"bind :${PORT} "$PORT" '$PORT' $PORT ${NO} ${NO-7} ${"#, vec!["bind", ":80", "80", "$PORT", "$PORT", "${NO}", "7", "${"]),
            (r#"x "" "y"#, vec!["x", "", "y"]),
            ("\\", vec!["\\"]),
            ("", vec![]),
        ] {
            assert_eq!(words(line, &variables), expected, "{line}");
        }
    }

    #[test]
    fn sections_take_the_defaults_in_front_of_them_or_those_they_name() {
        let text = "stray 1\ndefaults one\n mode http\ndefaults\n mode tcp\nfrontend a\n bind :80\nbackend b from one\nbackend c from none";
        let files = [("/x".to_owned(), text.to_owned())].into();
        let mut notes = Notes::default();
        let sections = read(&files, &["/x".to_owned()], &Container::default(), &mut notes);
        let defaults: Vec<_> = sections.iter().map(|s| (s.name(), s.defaults)).collect();
        assert_eq!(defaults, [("one", None), ("", None), ("a", Some(1)), ("b", Some(0)), ("c", None)]);
        assert_eq!(notes.into_vec().len(), 1);
    }
}

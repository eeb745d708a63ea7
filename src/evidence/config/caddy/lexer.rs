//! Words of a Caddyfile.

use std::iter::Peekable;
use std::str::Chars;

use crate::evidence::config::Place;
use crate::evidence::config::notes::Notes;
use crate::snapshot::objects::docker::Container;

/// A word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// Its text, without quotes.
    pub text: String,
    /// Where it stands.
    pub place: Place,
    /// Whether it is the first of its line.
    pub starts_line: bool,
    /// Whether it stands in quotes, so that it is no brace.
    pub quoted: bool,
}

impl Token {
    /// Whether it opens a block.
    pub fn opens(&self) -> bool {
        !self.quoted && self.text == "{"
    }

    /// Whether it closes a block.
    pub fn closes(&self) -> bool {
        !self.quoted && self.text == "}"
    }
}

/// Parts a text into words.
pub(super) fn tokens(file: &str, text: &str) -> Vec<Token> {
    let mut lexer =
        Lexer { chars: text.trim_start_matches('\u{feff}').chars().peekable(), file, line: 1, starts_line: true, tokens: Vec::new() };
    while let Some(c) = lexer.chars.next() {
        lexer.take(c);
    }
    lexer.tokens
}

struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    file: &'a str,
    line: usize,
    starts_line: bool,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn take(&mut self, c: char) {
        match c {
            '\n' => self.end_line(),
            c if c.is_whitespace() => {}
            '\\' if self.skips_line_end() => {}
            '#' => while self.chars.next_if(|c| *c != '\n').is_some() {},
            '"' | '`' => self.quoted(c),
            '<' if self.chars.peek() == Some(&'<') => self.heredoc(),
            c => {
                let line = self.line;
                let mut text = String::from(c);
                self.word(&mut text);
                self.push(text, line, false);
            }
        }
    }

    /// Takes the end of a line behind a backslash, which joins both lines.
    fn skips_line_end(&mut self) -> bool {
        let mut ahead = self.chars.clone();
        let carriage = ahead.next_if_eq(&'\r').is_some();
        if ahead.next() != Some('\n') {
            return false;
        }
        self.chars.nth(usize::from(carriage));
        self.line += 1;
        true
    }

    fn word(&mut self, text: &mut String) {
        while let Some(c) = self.chars.next_if(|c| !c.is_whitespace()) {
            if c == '\\' && self.chars.peek() == Some(&'\n') {
                self.line += 1;
                self.chars.next();
                return;
            }
            text.push(c);
        }
    }

    fn quoted(&mut self, mark: char) {
        let line = self.line;
        let mut text = String::new();
        while let Some(c) = self.chars.next().filter(|c| *c != mark) {
            match c {
                '\\' if mark == '"' && self.chars.peek() == Some(&'"') => {
                    text.extend(self.chars.next());
                    continue;
                }
                '\n' => self.line += 1,
                _ => {}
            }
            text.push(c);
        }
        self.push(text, line, true);
    }

    /// `<<END` up to a line that ends with `END`; without such a mark it is a word.
    fn heredoc(&mut self) {
        let line = self.line;
        let mut word = String::from("<");
        self.word(&mut word);
        let mark = word.trim_start_matches('<').to_owned();
        if mark.is_empty() || self.chars.peek() != Some(&'\n') {
            return self.push(word, line, false);
        }
        let mut text = String::new();
        for c in self.chars.by_ref() {
            text.push(c);
            self.line += usize::from(c == '\n');
            if text.ends_with(mark.as_str()) {
                break;
            }
        }
        self.push(text.trim_end_matches(mark.as_str()).to_owned(), line, true);
    }

    fn end_line(&mut self) {
        self.line += 1;
        self.starts_line = true;
    }

    fn push(&mut self, text: String, line: usize, quoted: bool) {
        let place = Place { file: self.file.to_owned(), line };
        self.tokens.push(Token { text, place, starts_line: self.starts_line, quoted });
        self.starts_line = false;
    }
}

/// Puts values in place of `{$NAME}` and `{$NAME:default}`, which Caddy does before it reads anything else. One whose value is not known keeps
/// its default, or stays as it is.
pub(super) fn with_environment(file: &str, text: &str, container: &Container, notes: &mut Notes) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once("{$") {
        filled.push_str(before);
        let Some((inside, tail)) = tail.split_once('}').filter(|(inside, _)| !inside.is_empty()) else {
            filled.push_str("{$");
            rest = tail;
            continue;
        };
        let (name, default) = inside.split_once(':').map_or((inside, None), |(n, d)| (n, Some(d)));
        let mut note = |what: &str| {
            let read = &text[..text.len() - tail.len()];
            let line = 1 + read.bytes().filter(|b| *b == b'\n').count();
            notes.add(&Place { file: file.to_owned(), line }, format!("the value of {name} in the environment is not known{what}"));
        };
        match (container.variable(name), default) {
            (Some(value), _) => filled.push_str(value),
            (None, Some(default)) => {
                note(", its default is taken");
                filled.push_str(default);
            }
            (None, None) => {
                note("");
                filled.push_str("{$");
                filled.push_str(inside);
                filled.push('}');
            }
        }
        rest = tail;
    }
    filled.push_str(rest);
    filled
}

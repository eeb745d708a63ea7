//! nginx' files: words, quotes, comments and blocks, with what they include in place.

use crate::evidence::config::directive::Directive;
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::{absolute, excerpt, found, is_glob};
use crate::evidence::config::{Files, Place};

/// Deepest nesting of blocks and included files that is followed.
const DEPTH: usize = 32;
/// Text that is read altogether, however often files are included, in bytes.
const SIZE: usize = 16 << 20;
/// What one file more is worth, in bytes of text.
const LOOK: usize = 4096;

/// Reads a file and what it includes. What does not parse is noted, and what stands in front of it is kept.
pub fn read(files: &Files, main: &str, prefix: &str, notes: &mut Notes) -> Vec<Directive> {
    let mut reader = Reader { files, prefix, notes, open: Vec::new(), left: SIZE, full: false };
    reader.file(main, 0)
}

struct Reader<'f> {
    files: &'f Files,
    prefix: &'f str,
    notes: &'f mut Notes,
    /// The files that are being read.
    open: Vec<String>,
    left: usize,
    /// Whether more was left out for its size.
    full: bool,
}

impl Reader<'_> {
    fn file(&mut self, path: &str, depth: usize) -> Vec<Directive> {
        let Some(text) = self.files.get(path) else { return Vec::new() };
        if !self.pays(text.len(), &Place { file: path.to_owned(), line: 0 }) {
            return Vec::new();
        }
        let (directives, fault) = parse(text, path, depth);
        if let Some(fault) = fault {
            self.notes.add(&Place { file: path.to_owned(), line: fault.line }, fault.text);
        }
        self.open.push(path.to_owned());
        let directives = self.expanded(directives, depth);
        self.open.pop();
        directives
    }

    /// Whether there is room for so much more text; looking for a file costs something too.
    fn pays(&mut self, bytes: usize, place: &Place) -> bool {
        match self.left.checked_sub(bytes + LOOK) {
            Some(left) => self.left = left,
            None if self.full => return false,
            None => {
                self.full = true;
                self.notes.add(place, "not read from here on, for the configuration is too large");
                return false;
            }
        }
        true
    }

    fn expanded(&mut self, directives: Vec<Directive>, depth: usize) -> Vec<Directive> {
        let mut all = Vec::with_capacity(directives.len());
        for mut directive in directives {
            if directive.name == "include" && directive.block.is_none() {
                all.extend(self.included(&directive, depth));
                continue;
            }
            directive.block = directive.block.map(|block| self.expanded(block, depth + 1));
            all.push(directive);
        }
        all
    }

    fn included(&mut self, include: &Directive, depth: usize) -> Vec<Directive> {
        if !self.pays(0, &include.place) {
            return Vec::new();
        }
        let path = absolute(self.prefix, include.arg());
        let files = self.files;
        let paths = found(files, &path);
        if paths.is_empty() && !is_glob(&path) {
            self.notes.add(&include.place, format!("the included file {} was not read", excerpt(&path)));
        }
        let mut all = Vec::new();
        for path in paths {
            if depth >= DEPTH || self.open.iter().any(|o| o == path) {
                self.notes.add(&include.place, format!("{} includes itself, or too deeply", excerpt(path)));
                continue;
            }
            all.extend(self.file(path, depth + 1));
        }
        all
    }
}

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    line: usize,
    text: String,
}

fn fault_at(line: usize, text: impl Into<String>) -> Fault {
    Fault { line, text: text.into() }
}

/// The directives of one file, and what ended it early.
fn parse(text: &str, file: &str, depth: usize) -> (Vec<Directive>, Option<Fault>) {
    let place = |line| Place { file: file.to_owned(), line };
    let mut tokens = Tokens { rest: text, line: 1 };
    let mut level: Vec<Directive> = Vec::new();
    // Blocks that are open: their directive, and what stands in front of it.
    let mut open: Vec<(Directive, Vec<Directive>)> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut began = 1;
    let mut fault = None;
    while let Some((token, line)) = tokens.next() {
        let ends_words = matches!(token, Token::End | Token::Open);
        if ends_words && words.is_empty() {
            // A lone semicolon is harmless; a lone block is not.
            if token == Token::Open {
                fault = Some(fault_at(line, "a block without a name"));
                break;
            }
            continue;
        }
        match token {
            Token::Word(word) => {
                if words.is_empty() {
                    began = line;
                }
                words.push(word);
            }
            Token::End => level.push(directive(&mut words, place(began))),
            Token::Open => {
                let mut opened = directive(&mut words, place(began));
                if opened.name.ends_with("_by_lua_block") {
                    tokens.skip_code();
                    level.push(opened);
                    continue;
                }
                if depth + open.len() >= DEPTH {
                    fault = Some(fault_at(line, "blocks are nested too deeply"));
                    break;
                }
                opened.block = Some(Vec::new());
                open.push((opened, std::mem::take(&mut level)));
            }
            Token::Close => match open.pop() {
                Some(_) | None if !words.is_empty() => {
                    fault = Some(fault_at(line, format!("`{}` does not end with a semicolon", excerpt(&words.join(" ")))));
                    break;
                }
                Some((mut block, before)) => {
                    block.block = Some(std::mem::replace(&mut level, before));
                    level.push(block);
                }
                None => {
                    fault = Some(fault_at(line, "an unexpected closing brace"));
                    break;
                }
            },
        }
    }
    if fault.is_none() && !words.is_empty() {
        fault = Some(fault_at(began, format!("`{}` does not end", excerpt(&words.join(" ")))));
    }
    while let Some((mut block, before)) = open.pop() {
        fault.get_or_insert_with(|| fault_at(block.place.line, format!("the block `{}` is not closed", excerpt(&block.name))));
        block.block = Some(std::mem::replace(&mut level, before));
        level.push(block);
    }
    (level, fault)
}

fn directive(words: &mut Vec<String>, place: Place) -> Directive {
    let mut words = std::mem::take(words).into_iter();
    Directive { name: words.next().unwrap_or_default(), args: words.collect(), block: None, place }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Open,
    Close,
    End,
}

struct Tokens<'t> {
    rest: &'t str,
    line: usize,
}

impl Tokens<'_> {
    /// The next token and the line that it begins at.
    fn next(&mut self) -> Option<(Token, usize)> {
        self.skip_blank();
        let line = self.line;
        let first = self.rest.chars().next()?;
        let single = match first {
            ';' => Some(Token::End),
            '{' => Some(Token::Open),
            '}' => Some(Token::Close),
            _ => None,
        };
        if let Some(token) = single {
            self.take(1);
            return Some((token, line));
        }
        let word = if matches!(first, '"' | '\'') { self.quoted(first) } else { self.bare() };
        Some((Token::Word(word), line))
    }

    /// Goes on by some bytes and returns them.
    fn take(&mut self, bytes: usize) -> &str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.bytes().filter(|b| *b == b'\n').count();
        self.rest = rest;
        taken
    }

    fn skip_blank(&mut self) {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.take(blank);
            if !self.rest.starts_with('#') {
                return;
            }
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
    }

    fn quoted(&mut self, quote: char) -> String {
        self.take(1);
        let mut escaped = false;
        let end = self.rest.find(|c| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let word = unescaped(self.take(end.unwrap_or(self.rest.len())));
        self.take(usize::from(end.is_some()));
        word
    }

    fn bare(&mut self) -> String {
        let (mut escaped, mut after_dollar) = (false, false);
        let end = self.rest.find(|c: char| {
            // The brace of `${name}` opens no block.
            let ends = !escaped && (c.is_ascii_whitespace() || c == ';' || (c == '{' && !after_dollar));
            (escaped, after_dollar) = (c == '\\' && !escaped, c == '$');
            ends
        });
        unescaped(self.take(end.unwrap_or(self.rest.len())))
    }

    /// Skips a block of Lua up to the brace that closes it.
    fn skip_code(&mut self) {
        let (mut depth, mut quote, mut escaped) = (1_usize, None, false);
        let end = self.rest.find(|c: char| {
            match (quote, c) {
                (Some(_), _) if escaped => escaped = false,
                (Some(_), '\\') => escaped = true,
                (Some(q), _) if q == c || c == '\n' => quote = None,
                (None, '"' | '\'') => quote = Some(c),
                (None, '{') => depth += 1,
                (None, '}') => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        self.take(end.map_or(self.rest.len(), |e| e + 1));
    }
}

/// A word without the backslashes that nginx takes away.
fn unescaped(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        let known = (c == '\\').then(|| chars.peek()).flatten().and_then(|next| match next {
            '"' | '\'' | '\\' => Some(*next),
            't' => Some('\t'),
            'r' => Some('\r'),
            'n' => Some('\n'),
            _ => None,
        });
        text.push(known.unwrap_or(c));
        if known.is_some() {
            chars.next();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Token> {
        let mut tokens = Tokens { rest: text, line: 1 };
        std::iter::from_fn(|| tokens.next().map(|(t, _)| t)).collect()
    }

    fn word(text: &str) -> Token {
        Token::Word(text.into())
    }

    #[test]
    fn words_are_told_apart() {
        let text = "a \"b; {c}\" 'd\\'e' f${g}h#i \\$j; # k\n~^/x\\.y{ }";
        let expected = [
            word("a"),
            word("b; {c}"),
            word("d'e"),
            word("f${g}h#i"),
            word("\\$j"),
            Token::End,
            word("~^/x\\.y"),
            Token::Open,
            Token::Close,
        ];
        assert_eq!(words(text), expected);
    }

    #[test]
    fn lua_opens_no_blocks() {
        let (directives, fault) = parse("access_by_lua_block { if x == '}' then y = {1} end }\nlisten 80;", "f", 0);
        assert_eq!(fault, None);
        assert_eq!(directives.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["access_by_lua_block", "listen"]);
    }

    #[test]
    fn what_stands_in_front_of_a_fault_is_kept() {
        for (text, line, names) in [
            ("a 1;\nb {\n c 2;", 2, vec!["a", "b"]),
            ("a 1;\n}\nb 2;", 2, vec!["a"]),
            ("a 1;\n\nb 2", 3, vec!["a"]),
            ("a 1;\n{ }", 2, vec!["a"]),
            ("a 1;\nb 'x", 2, vec!["a"]),
        ] {
            let (directives, fault) = parse(text, "f", 0);
            assert_eq!(fault.map(|f| f.line), Some(line), "{text}");
            assert_eq!(directives.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), names, "{text}");
        }
    }

    #[test]
    fn includes_are_put_in_place_and_do_not_loop() {
        let files: Files = [
            ("/n/main.conf", "a;\ninclude d/*.conf;\ninclude gone.conf;\nz;"),
            ("/n/d/1.conf", "b;\ninclude main.conf;"),
            ("/n/d/2.conf", "c { include /n/d/2.conf; d; }"),
        ]
        .map(|(p, t)| (p.to_owned(), t.to_owned()))
        .into();
        let mut notes = Notes::default();
        let directives = read(&files, "/n/main.conf", "/n", &mut notes);
        assert_eq!(directives.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "z"]);
        let places: Vec<String> = notes.into_vec().iter().map(|n| n.place.to_string()).collect();
        assert_eq!(places, ["/n/d/1.conf:2", "/n/d/2.conf:1", "/n/main.conf:3"]);
    }

    #[test]
    fn includes_that_multiply_end() {
        let double = |next: usize| format!("include {next}.conf; include {next}.conf;");
        let files: Files = (0..40).map(|i| (format!("/{i}.conf"), double(i + 1))).collect();
        let mut notes = Notes::default();
        read(&files, "/0.conf", "/", &mut notes);
        assert!(notes.first().is_some());
    }
}

//! The blocks of a Caddyfile, with everything that it imports.

use std::collections::{BTreeMap, VecDeque};

use super::lexer::{Token, tokens, with_environment};
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::{absolute, folder, found, is_glob};
use crate::evidence::config::{Files, Place};
use crate::snapshot::objects::docker::Container;

/// The most words that imports may bring in.
const MOST: usize = 100_000;
/// How deep blocks may lie in each other.
const DEEPEST: usize = 48;

/// A directive with its arguments and its block.
#[derive(Clone, Debug, Default)]
pub(super) struct Directive {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Its arguments.
    pub args: Vec<Token>,
    /// What stands in its braces.
    pub block: Vec<Directive>,
}

/// A site: its addresses and directives.
#[derive(Clone, Debug, Default)]
pub(super) struct Site {
    /// Addresses.
    pub keys: Vec<Token>,
    /// Directives.
    pub block: Vec<Directive>,
}

/// A whole Caddyfile.
#[derive(Debug, Default)]
pub(super) struct Caddyfile {
    /// Global options.
    pub options: Vec<Directive>,
    /// Sites in order.
    pub sites: Vec<Site>,
    /// Named routes.
    pub named: BTreeMap<String, Vec<Directive>>,
}

impl Directive {
    /// Texts of its arguments.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.args.iter().map(|a| a.text.as_str())
    }

    /// Its first argument.
    pub fn first(&self) -> Option<&str> {
        self.args.first().map(|a| a.text.as_str())
    }

    /// Its matcher, where its first argument is one, and the arguments behind it.
    pub fn matcher(&self) -> (Option<&Token>, &[Token]) {
        match self.args.split_first() {
            Some((first, rest)) if first.text == "*" || first.text.starts_with(['/', '@']) => (Some(first), rest),
            _ => (None, &self.args),
        }
    }
}

/// Reads a Caddyfile.
pub(super) fn read(path: &str, text: &str, files: &Files, container: &Container, notes: &mut Notes) -> Caddyfile {
    let mut parser = Parser { files, container, notes, rest: VecDeque::new(), snippets: BTreeMap::new(), budget: MOST };
    parser.rest = parser.tokens_of(path, text).into();
    let mut whole = Caddyfile::default();
    while let Some(token) = parser.rest.pop_front() {
        match token.text.as_str() {
            _ if token.opens() => whole.options.extend(parser.directives(0)),
            _ if token.closes() => parser.notes.add(&token.place, "a brace closes nothing"),
            "import" => parser.import(&token),
            name if name.starts_with('(') && name.ends_with(')') => {
                let name = name.trim_matches(['(', ')']).to_owned();
                let body = parser.braces();
                parser.snippets.insert(name, body);
            }
            name if name.starts_with("&(") => {
                let name = name.trim_start_matches('&').trim_matches(['(', ')']).to_owned();
                if parser.rest.pop_front_if(|t| t.opens()).is_some() {
                    let block = parser.directives(0);
                    whole.named.insert(name, block);
                }
            }
            _ => whole.sites.push(parser.site(token)),
        }
    }
    whole
}

struct Parser<'a> {
    files: &'a Files,
    container: &'a Container,
    notes: &'a mut Notes,
    rest: VecDeque<Token>,
    snippets: BTreeMap<String, Vec<Token>>,
    budget: usize,
}

impl Parser<'_> {
    fn tokens_of(&mut self, path: &str, text: &str) -> Vec<Token> {
        tokens(path, &with_environment(path, text, self.container, self.notes))
    }

    /// Addresses, on one line or with commas between, and the block behind them; without braces it is all the rest.
    fn site(&mut self, first: Token) -> Site {
        let mut site = Site::default();
        let mut next = Some(first);
        while let Some(mut key) = next {
            let more = key.text.ends_with(',');
            key.text.truncate(key.text.trim_end_matches(',').len());
            site.keys.extend(Some(key).filter(|k| !k.text.is_empty()));
            next = self.rest.pop_front_if(|t| !t.opens() && (more || !t.starts_line));
        }
        let braces = self.rest.pop_front_if(|t| t.opens()).is_some();
        site.block = if braces { self.directives(0) } else { self.bare_directives() };
        site
    }

    fn bare_directives(&mut self) -> Vec<Directive> {
        let mut all = Vec::new();
        while !self.rest.is_empty() {
            all.extend(self.directives(0));
        }
        all
    }

    /// Directives up to the brace that closes them, or the end.
    fn directives(&mut self, depth: usize) -> Vec<Directive> {
        let mut all = Vec::new();
        while let Some(token) = self.rest.pop_front().filter(|t| !t.closes()) {
            if token.text == "import" && token.starts_line {
                self.import(&token);
                continue;
            }
            let mut directive = Directive { name: token.text, place: token.place, args: Vec::new(), block: Vec::new() };
            while let Some(arg) = self.rest.pop_front_if(|t| !t.starts_line && !t.closes()) {
                if !arg.opens() {
                    directive.args.push(arg);
                    continue;
                }
                if depth < DEEPEST {
                    directive.block = self.directives(depth + 1);
                } else {
                    self.rest.push_front(arg);
                    self.braces();
                    self.notes.add(&directive.place, "it lies too deep");
                }
                break;
            }
            all.push(directive);
        }
        all
    }

    /// The words of the braces that come next, without them.
    fn braces(&mut self) -> Vec<Token> {
        let mut inside = Vec::new();
        let mut depth = 0_usize;
        while let Some(token) = self.rest.pop_front() {
            if token.closes() && depth <= 1 {
                break;
            }
            depth = depth + usize::from(token.opens()) - usize::from(token.closes());
            if depth == 0 {
                self.rest.push_front(token);
                break;
            }
            if depth > 1 || !inside.is_empty() || !token.opens() {
                inside.push(token);
            }
        }
        inside
    }

    /// Puts what is imported in front of the rest: a snippet, or files.
    fn import(&mut self, at: &Token) {
        let mut args = Vec::new();
        while let Some(arg) = self.rest.pop_front_if(|t| !t.starts_line && !t.opens() && !t.closes()) {
            args.push(arg);
        }
        let block = if self.rest.front().is_some_and(|t| t.opens() && !t.starts_line) { self.braces() } else { Vec::new() };
        let Some((what, args)) = args.split_first() else { return };
        let Some(imported) = self.imported(&what.text, at) else { return };
        let filled = imported.into_iter().flat_map(|t| filled(t, args, &block)).collect::<Vec<Token>>();
        if filled.len() >= self.budget {
            return self.notes.add(&at.place, "too much is imported; it is not read");
        }
        self.budget -= filled.len().max(1);
        filled.into_iter().rev().for_each(|t| self.rest.push_front(t));
        if let Some(first) = self.rest.front_mut() {
            first.starts_line = true;
        }
    }

    fn imported(&mut self, what: &str, at: &Token) -> Option<Vec<Token>> {
        if let Some(snippet) = self.snippets.get(what) {
            return Some(snippet.clone());
        }
        let files = self.files;
        let path = absolute(folder(&at.place.file), what);
        let found = found(files, &path);
        if found.is_empty() && !is_glob(&path) {
            self.notes.add(&at.place, format!("{what} could not be read"));
            return None;
        }
        let texts = found.into_iter().filter_map(|p| files.get_key_value(p));
        Some(texts.flat_map(|(path, text)| self.tokens_of(path, text)).collect())
    }
}

/// A word of what is imported with the import's arguments in place: `{args[0]}`, `{args[:]}`, `{block}`.
fn filled(token: Token, args: &[Token], block: &[Token]) -> Vec<Token> {
    match token.text.as_str() {
        "{block}" => return block.to_vec(),
        "{args[:]}" => {
            let starts = |at: usize| token.starts_line && at == 0;
            return args.iter().enumerate().map(|(at, a)| Token { starts_line: starts(at), ..a.clone() }).collect();
        }
        text if !text.contains("{args") => return vec![token],
        _ => {}
    }
    let mut text = token.text.clone();
    for (at, arg) in args.iter().enumerate().take(32) {
        text = text.replace(&format!("{{args[{at}]}}"), &arg.text).replace(&format!("{{args.{at}}}"), &arg.text);
    }
    vec![Token { text, ..token }]
}

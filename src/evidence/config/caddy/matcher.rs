//! Matchers of a Caddyfile.

use std::collections::BTreeMap;

use super::lexer::Token;
use super::parse::Directive;
use crate::evidence::config::condition::Condition;

/// How deep `not` may lie in itself.
const DEEPEST: usize = 8;

/// Named matchers, without the `@`.
pub(super) type Named = BTreeMap<String, Condition>;

/// The matchers that a block names.
pub(super) fn named(block: &[Directive]) -> impl Iterator<Item = (String, Condition)> {
    block.iter().filter_map(|d| Some((d.name.strip_prefix('@')?.to_owned(), of_definition(d, 0))))
}

/// What a matcher in front of a directive's arguments asks for; an error where it names none that is defined.
pub(super) fn of_token(token: &Token, named: &Named) -> Result<Condition, String> {
    match token.text.strip_prefix('@') {
        Some(name) => named.get(name).cloned().ok_or_else(|| format!("the matcher {} is not defined", token.text)),
        None => Ok(path(&token.text)),
    }
}

/// What `@name …`, `@name { … }`, or `not …` asks for.
fn of_definition(directive: &Directive, depth: usize) -> Condition {
    let inline = directive.args.split_first().map(|(kind, values)| of_kind(&kind.text, values, &directive.block, depth));
    inline.unwrap_or_else(|| of_block(&directive.block, depth))
}

/// Lines of the same kind add to each other, lines of different kinds must all be met.
fn of_block(block: &[Directive], depth: usize) -> Condition {
    let mut kinds: Vec<(&str, Vec<Condition>)> = Vec::new();
    for line in block {
        let condition = of_kind(&line.name, &line.args, &line.block, depth);
        let adds = matches!(line.name.as_str(), "path" | "host" | "method");
        match kinds.iter_mut().find(|(kind, _)| adds && *kind == line.name) {
            Some((_, conditions)) => conditions.push(condition),
            None => kinds.push((&line.name, vec![condition])),
        }
    }
    Condition::All(kinds.into_iter().map(|(_, any)| Condition::Any(any)).collect())
}

fn of_kind(kind: &str, values: &[Token], block: &[Directive], depth: usize) -> Condition {
    let any = |make: &dyn Fn(&str) -> Condition| Condition::Any(values.iter().map(|v| make(&v.text)).collect());
    let words = || {
        let values: Vec<&str> = values.iter().map(|v| v.text.as_str()).collect();
        format!("{kind} {}", values.join(" "))
    };
    match kind {
        "path" => any(&path),
        "host" => any(&host),
        "method" => any(&|m| Condition::Method(m.to_owned())),
        "path_regexp" => values.last().map_or_else(|| Condition::Unknown(words()), |p| Condition::Pattern(p.text.clone())),
        "header" | "header_regexp" | "query" => Condition::Special(words()),
        "not" if depth < DEEPEST => {
            let inner = Directive { args: values.to_vec(), block: block.to_vec(), ..Directive::default() };
            Condition::Not(Box::new(of_definition(&inner, depth + 1)))
        }
        _ => Condition::Unknown(words()),
    }
}

/// A host as a matcher writes it.
pub(super) fn host(host: &str) -> Condition {
    match host {
        "" | "*" => Condition::All(Vec::new()),
        h if h.contains('{') || h.trim_start_matches("*.").contains('*') => Condition::Unknown(format!("the host {h}")),
        h => Condition::Host(h.to_ascii_lowercase()),
    }
}

/// A path as a matcher writes it: a star at its end stands for anything.
pub(super) fn path(pattern: &str) -> Condition {
    match pattern.split_once('*') {
        _ if pattern == "*" => Condition::All(Vec::new()),
        None if pattern.contains('{') => Condition::Unknown(format!("the path {pattern}")),
        None => Condition::Path(pattern.to_owned()),
        Some((front, "")) if front.starts_with('/') && !front.contains('{') => Condition::Prefix(front.to_owned()),
        Some(_) => Condition::Unknown(format!("the path {pattern}")),
    }
}

//! Rules of routers: which hosts and paths they match.
//!
//! A rule is a condition on the whole request. It is broken up into hosts with paths; a part that a plain GET request for such a host and path
//! does not meet for sure is left out and said.

use crate::snapshot::objects::PathType;

/// The longest rule that is read, in bytes.
const LONGEST: usize = 16 * 1024;
/// How deep parentheses may lie in each other.
const DEEPEST: usize = 32;
/// The most alternatives that a rule is broken up into.
const MOST: usize = 256;

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// A matcher with its arguments, e.g. Host(`a`).
    Call(String, Vec<String>),
    /// The opposite.
    Not(Box<Condition>),
    /// Both.
    And(Box<Condition>, Box<Condition>),
    /// One of both.
    Or(Box<Condition>, Box<Condition>),
}

/// A host and path that a rule matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Match {
    /// The host; none for any.
    pub host: Option<String>,
    /// The path and how it is matched; none for any.
    pub path: Option<(String, PathType)>,
    /// What else must hold.
    others: Vec<Condition>,
}

/// Breaks a rule up into the hosts and paths that it matches, and says what of it is not kept.
///
/// # Errors
/// What is wrong with the rule.
pub(super) fn matches(rule: &str) -> Result<(Vec<Match>, Vec<String>), String> {
    let condition = parse(rule)?;
    let all = expand(&condition)?;
    let (kept, dropped): (Vec<Match>, Vec<Match>) = all.into_iter().partition(Match::by_plain_request);
    let mut words: Vec<String> = dropped.iter().filter_map(|m| m.others.iter().find(|o| m.holds(o) != Some(true))).map(named).collect();
    words.sort();
    words.dedup();
    Ok((kept, words.into_iter().map(|w| format!("what depends on {w} is left out")).collect()))
}

impl Match {
    /// Whether a plain GET request for its host and path meets everything else that is asked.
    fn by_plain_request(&self) -> bool {
        self.others.iter().all(|o| self.holds(o) == Some(true))
    }

    /// Whether a condition holds for a plain GET request for this host and path; nothing where that cannot be said.
    fn holds(&self, condition: &Condition) -> Option<bool> {
        let path = self.path.as_ref().map_or("/", |(p, _)| p);
        let any = |args: &[String], is: &dyn Fn(&str) -> bool| Some(args.iter().any(|a| is(a)));
        match condition {
            Condition::Not(inner) => self.holds(inner).map(|b| !b),
            Condition::And(a, b) => both(self.holds(a), self.holds(b)),
            Condition::Or(a, b) => both(self.holds(a).map(|b| !b), self.holds(b).map(|b| !b)).map(|b| !b),
            Condition::Call(name, args) => match name.to_ascii_lowercase().as_str() {
                "method" => any(args, &|m| m.eq_ignore_ascii_case("GET")),
                "host" | "hostheader" => {
                    let host = self.host.as_deref()?;
                    if host.starts_with("*.") { None } else { any(args, &|h| h.eq_ignore_ascii_case(host)) }
                }
                "path" => any(args, &|p| p == path),
                "pathprefix" => any(args, &|p| path.starts_with(p)),
                "header" | "headers" | "headerregexp" | "headersregexp" | "query" | "queryregexp" => Some(false),
                _ => None,
            },
        }
    }

    /// What both match; nothing where they exclude each other.
    fn and(&self, other: &Match) -> Option<Match> {
        let host = match (&self.host, &other.host) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        let path = match (&self.path, &other.path) {
            (Some(a), Some(b)) => Some(narrower(a, b)?),
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        let others = self.others.iter().chain(&other.others).cloned().collect();
        Some(Match { host, path, others })
    }
}

fn both(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn narrower(a: &(String, PathType), b: &(String, PathType)) -> Option<(String, PathType)> {
    match (a.1, b.1) {
        (_, PathType::Prefix) if a.0.starts_with(&b.0) => Some(a.clone()),
        (PathType::Prefix, _) if b.0.starts_with(&a.0) => Some(b.clone()),
        _ if a == b => Some(a.clone()),
        _ => None,
    }
}

/// A condition in words, by its matchers' names.
fn named(condition: &Condition) -> String {
    match condition {
        Condition::Call(name, args) => format!("{name}({})", args.iter().map(|a| format!("`{a}`")).collect::<Vec<_>>().join(", ")),
        Condition::Not(inner) => format!("!{}", named(inner)),
        Condition::And(a, b) => format!("({} && {})", named(a), named(b)),
        Condition::Or(a, b) => format!("({} || {})", named(a), named(b)),
    }
}

fn expand(condition: &Condition) -> Result<Vec<Match>, String> {
    let all = match condition {
        Condition::Or(a, b) => [expand(a)?, expand(b)?].concat(),
        Condition::And(a, b) => {
            let (left, right) = (expand(a)?, expand(b)?);
            if left.len().saturating_mul(right.len()) > MOST {
                return Err("it has too many alternatives".into());
            }
            left.iter().flat_map(|l| right.iter().filter_map(|r| l.and(r))).collect()
        }
        Condition::Not(_) => vec![Match { others: vec![condition.clone()], ..Match::default() }],
        Condition::Call(name, args) => {
            args_of(name, args).unwrap_or_else(|| vec![Match { others: vec![condition.clone()], ..Match::default() }])
        }
    };
    if all.len() > MOST { Err("it has too many alternatives".into()) } else { Ok(all) }
}

/// What a matcher of hosts or paths matches; nothing for other matchers and for patterns that cannot be named.
fn args_of(name: &str, args: &[String]) -> Option<Vec<Match>> {
    let each = |make: &dyn Fn(&str) -> Match| Some(args.iter().map(|a| make(a)).collect());
    let path = |path: &str, how| Match { path: Some((path.to_owned(), how)), ..Match::default() };
    // Version 2 takes patterns in braces.
    let pattern = args.iter().any(|a| a.contains('{'));
    match name.to_ascii_lowercase().as_str() {
        "hostregexp" if args.iter().all(|a| matches_everything(a)) => Some(vec![Match::default()]),
        "host" | "hostheader" if !pattern => each(&|h| match h {
            "*" => Match::default(),
            h => Match { host: Some(h.trim_end_matches('.').to_ascii_lowercase()), ..Match::default() },
        }),
        "path" if !pattern => each(&|p| path(p, PathType::Exact)),
        "pathprefix" if !pattern => each(&|p| path(p, PathType::Prefix)),
        "pathregexp" => each(&|p| path(p, PathType::ImplementationSpecific)),
        _ => None,
    }
}

fn matches_everything(pattern: &str) -> bool {
    let inner = match pattern.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
        Some(named) => named.split_once(':').map_or(named, |(_, p)| p),
        None => pattern,
    };
    let inner = inner.strip_prefix('^').unwrap_or(inner);
    matches!(inner.strip_suffix('$').unwrap_or(inner), ".*" | ".+")
}

/// Reads a condition.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(rule: &str) -> Result<Condition, String> {
    if rule.len() > LONGEST {
        return Err("it is too long".into());
    }
    let mut parser = Parser { rest: rule.trim_start() };
    let condition = parser.any_of(0)?;
    if parser.rest.is_empty() { Ok(condition) } else { Err("it does not end where it should".into()) }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn any_of(&mut self, depth: usize) -> Result<Condition, String> {
        let mut left = self.all_of(depth)?;
        while self.takes("||") {
            left = Condition::Or(Box::new(left), Box::new(self.all_of(depth)?));
        }
        Ok(left)
    }

    fn all_of(&mut self, depth: usize) -> Result<Condition, String> {
        let mut left = self.one(depth)?;
        while self.takes("&&") {
            left = Condition::And(Box::new(left), Box::new(self.one(depth)?));
        }
        Ok(left)
    }

    fn one(&mut self, depth: usize) -> Result<Condition, String> {
        if depth > DEEPEST {
            return Err("it lies too deep".into());
        }
        if self.takes("!") {
            return Ok(Condition::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.takes("(") {
            let inner = self.any_of(depth + 1)?;
            return if self.takes(")") { Ok(inner) } else { Err("a parenthesis is not closed".into()) };
        }
        self.call()
    }

    fn call(&mut self) -> Result<Condition, String> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        if name.is_empty() || !self.takes("(") {
            return Err("a matcher is missing".into());
        }
        let mut args = vec![self.quoted()?];
        while self.takes(",") {
            args.push(self.quoted()?);
        }
        if self.takes(")") { Ok(Condition::Call(name.to_owned(), args)) } else { Err(format!("{name} is not closed")) }
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mark = self.rest.chars().next().filter(|c| matches!(c, '`' | '"' | '\''));
        let text = mark.and_then(|m| self.rest.get(1..)?.split_once(m));
        let (text, rest) = text.ok_or("a text in back quotes is missing")?;
        self.rest = rest.trim_start();
        Ok(text.to_owned())
    }

    fn takes(&mut self, token: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(token) else { return false };
        self.rest = rest.trim_start();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts_and_paths(rule: &str) -> Vec<String> {
        let (matches, left) = matches(rule).unwrap();
        let text = |m: &Match| format!("{}{}", m.host.as_deref().unwrap_or("any"), m.path.as_ref().map_or("", |(p, _)| p));
        matches.iter().map(text).chain(left).collect()
    }

    #[test]
    fn a_rule_is_broken_up_into_hosts_and_paths() {
        assert_eq!(hosts_and_paths("Host(`Shop.example`)"), ["shop.example"]);
        assert_eq!(hosts_and_paths("Host(`a`, `b`)"), ["a", "b"]);
        assert_eq!(hosts_and_paths("(Host(`a`) || Host(`b`)) && (PathPrefix(`/x`) || Path(`/y`))"), ["a/x", "a/y", "b/x", "b/y"]);
        assert_eq!(hosts_and_paths("Host(`a`) && PathPrefix(`/x`) && PathPrefix(`/x/y`)"), ["a/x/y"]);
        assert_eq!(hosts_and_paths("HostRegexp(`^.+$`)"), ["any"]);
        assert_eq!(hosts_and_paths("Host(`a`) && Host(`b`)"), Vec::<String>::new());
    }

    #[test]
    fn what_a_plain_request_does_not_meet_is_left_out_and_said() {
        assert_eq!(hosts_and_paths("Host(`a`) && Method(`GET`) && !PathPrefix(`/api`)"), ["a"]);
        assert_eq!(hosts_and_paths("Host(`a`) && !Header(`x`, `y`)"), ["a"]);
        assert_eq!(hosts_and_paths("Host(`a`) && Headers(`x`, `y`)"), ["what depends on Headers(`x`, `y`) is left out"]);
        assert_eq!(hosts_and_paths("Host(`a`) || HostRegexp(`a.+`)"), ["a", "what depends on HostRegexp(`a.+`) is left out"]);
    }

    #[test]
    fn what_is_no_rule_is_an_error() {
        for rule in ["", "Host", "Host(a)", "Host(`a`", "Host(`a`) &&", "Host(`a`) Host(`b`)", "(Host(`a`)", "Host()", "é"] {
            assert!(matches(rule).is_err(), "{rule}");
        }
        assert!(matches(&"(".repeat(10_000)).is_err());
        assert!(matches(&"!".repeat(10_000)).is_err());
        let many = format!("({})", vec!["Host(`a`)"; 100].join(" || "));
        assert!(matches(&format!("{many} && {many} && {many}")).is_err());
    }
}

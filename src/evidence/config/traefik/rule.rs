//! Rules of routers: which hosts and paths they match.
//!
//! What versions 2 and 3 know is known here; what the same rule means to both is the same.

use crate::evidence::config::condition::{Condition, Match};

/// The longest rule that is read, in bytes.
const LONGEST: usize = 16 * 1024;
/// How deep parentheses may lie in each other.
const DEEPEST: usize = 32;

/// A rule, or another expression of the same form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// A matcher with its arguments, e.g. Host(`a`).
    Call(String, Vec<String>),
    /// The opposite.
    Not(Box<Expression>),
    /// Both.
    And(Box<Expression>, Box<Expression>),
    /// One of both.
    Or(Box<Expression>, Box<Expression>),
}

/// Breaks a rule up into the hosts and paths that it matches, and says what of it is left out.
///
/// # Errors
/// What is wrong with the rule.
pub(super) fn matches(rule: &str) -> Result<(Vec<Match>, Vec<String>), String> {
    condition(&parse(rule)?).matches()
}

fn condition(expression: &Expression) -> Condition {
    match expression {
        Expression::Call(name, args) => matcher(name, args),
        Expression::Not(inner) => Condition::Not(Box::new(condition(inner))),
        Expression::And(a, b) => Condition::All(vec![condition(a), condition(b)]),
        Expression::Or(a, b) => Condition::Any(vec![condition(a), condition(b)]),
    }
}

/// What a matcher asks for. Version 2 takes several values, of which any is met, and patterns in braces.
fn matcher(name: &str, args: &[String]) -> Condition {
    let any = |make: &dyn Fn(&str) -> Condition| Condition::Any(args.iter().map(|a| make(a)).collect());
    let words = || format!("{name}({})", args.iter().map(|a| format!("`{a}`")).collect::<Vec<_>>().join(", "));
    let is_pattern = args.iter().any(|a| a.contains('{'));
    match name.to_ascii_lowercase().as_str() {
        "hostregexp" if args.iter().all(|a| matches_everything(a)) => Condition::All(Vec::new()),
        "host" | "hostheader" if !is_pattern => any(&|h| match h {
            "*" => Condition::All(Vec::new()),
            h => Condition::Host(h.trim_end_matches('.').to_ascii_lowercase()),
        }),
        "path" if !is_pattern => any(&|p| Condition::Path(p.to_owned())),
        "pathprefix" if !is_pattern => any(&|p| Condition::Prefix(p.to_owned())),
        "pathregexp" => any(&|p| Condition::Pattern(p.to_owned())),
        "method" => any(&|m| Condition::Method(m.to_owned())),
        "header" | "headers" | "headerregexp" | "headersregexp" | "query" | "queryregexp" => Condition::Special(words()),
        _ => Condition::Unknown(words()),
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

/// Reads an expression.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(rule: &str) -> Result<Expression, String> {
    if rule.len() > LONGEST {
        return Err("it is too long".into());
    }
    let mut parser = Parser { rest: rule.trim_start() };
    let expression = parser.any_of(0)?;
    if parser.rest.is_empty() { Ok(expression) } else { Err("it does not end where it should".into()) }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn any_of(&mut self, depth: usize) -> Result<Expression, String> {
        let mut left = self.all_of(depth)?;
        while self.takes("||") {
            left = Expression::Or(Box::new(left), Box::new(self.all_of(depth)?));
        }
        Ok(left)
    }

    fn all_of(&mut self, depth: usize) -> Result<Expression, String> {
        let mut left = self.one(depth)?;
        while self.takes("&&") {
            left = Expression::And(Box::new(left), Box::new(self.one(depth)?));
        }
        Ok(left)
    }

    fn one(&mut self, depth: usize) -> Result<Expression, String> {
        if depth > DEEPEST {
            return Err("it lies too deep".into());
        }
        if self.takes("!") {
            return Ok(Expression::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.takes("(") {
            let inner = self.any_of(depth + 1)?;
            return if self.takes(")") { Ok(inner) } else { Err("a parenthesis is not closed".into()) };
        }
        self.call()
    }

    fn call(&mut self) -> Result<Expression, String> {
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
        if self.takes(")") { Ok(Expression::Call(name.to_owned(), args)) } else { Err(format!("{name} is not closed")) }
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
        assert_eq!(hosts_and_paths("Host(`a`) && Headers(`x`, `y`)"), ["Headers(`x`, `y`)"]);
        assert_eq!(hosts_and_paths("Host(`a`) || HostRegexp(`a.+`)"), ["a", "HostRegexp(`a.+`)"]);
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

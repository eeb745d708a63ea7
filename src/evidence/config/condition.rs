//! Conditions on requests, broken up into hosts and paths. Pure.
//!
//! Traefik's rules, Caddy's matchers and Envoy's matches are conditions on the whole request. A part that a plain GET request for a host and
//! path does not meet for sure is left out and said.

use crate::snapshot::objects::PathType;

/// The most alternatives that a condition is broken up into.
const MOST: usize = 256;

/// A condition on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// It is for this host, possibly with a leading `*.`.
    Host(String),
    /// Its path is this one.
    Path(String),
    /// Its path begins so.
    Prefix(String),
    /// Its path matches this pattern.
    Pattern(String),
    /// Its method is this one.
    Method(String),
    /// Something, in words, that a plain request has not: a header, a query.
    Special(String),
    /// Something, in words, of which it is not known whether a request meets it.
    Unknown(String),
    /// The opposite.
    Not(Box<Condition>),
    /// All of these; no condition where there are none.
    All(Vec<Condition>),
    /// Any of these.
    Any(Vec<Condition>),
}

/// A host and path that a condition allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Match {
    /// The host; none for any.
    pub host: Option<String>,
    /// The path and how it is matched; none for any.
    pub path: Option<(String, PathType)>,
    /// What else must hold.
    others: Vec<Condition>,
}

impl Condition {
    /// Breaks it up into the hosts and paths that it allows, and says in words what it leaves out.
    ///
    /// # Errors
    /// Why it cannot be broken up.
    pub fn matches(&self) -> Result<(Vec<Match>, Vec<String>), String> {
        let (kept, dropped): (Vec<Match>, Vec<Match>) = self.expand()?.into_iter().partition(Match::by_plain_request);
        let mut words: Vec<String> =
            dropped.iter().filter_map(|m| m.others.iter().find(|o| m.holds(o) != Some(true))).map(ToString::to_string).collect();
        words.sort();
        words.dedup();
        Ok((kept, words))
    }

    fn expand(&self) -> Result<Vec<Match>, String> {
        let only = |m: Match| vec![m];
        let path = |path: &str, how| only(Match { path: Some((path.to_owned(), how)), ..Match::default() });
        let all = match self {
            Condition::Host(host) => only(Match { host: Some(host.clone()), ..Match::default() }),
            Condition::Path(p) => path(p, PathType::Exact),
            Condition::Prefix(p) => path(p, PathType::Prefix),
            Condition::Pattern(p) => path(p, PathType::ImplementationSpecific),
            Condition::Any(conditions) => conditions.iter().map(Condition::expand).collect::<Result<Vec<_>, _>>()?.concat(),
            Condition::All(conditions) => conditions.iter().try_fold(only(Match::default()), |left, c| {
                let right = c.expand()?;
                if left.len().saturating_mul(right.len()) > MOST {
                    return Err("it has too many alternatives".to_owned());
                }
                Ok(left.iter().flat_map(|l| right.iter().filter_map(|r| l.and(r))).collect())
            })?,
            Condition::Method(_) | Condition::Special(_) | Condition::Unknown(_) | Condition::Not(_) => {
                only(Match { others: vec![self.clone()], ..Match::default() })
            }
        };
        if all.len() > MOST { Err("it has too many alternatives".into()) } else { Ok(all) }
    }
}

impl Match {
    /// Whether a plain GET request for its host and path meets everything else that is asked.
    fn by_plain_request(&self) -> bool {
        self.others.iter().all(|o| self.holds(o) == Some(true))
    }

    /// Whether a condition holds for a plain GET request for this host and path; nothing where that cannot be said.
    fn holds(&self, condition: &Condition) -> Option<bool> {
        let path = self.path.as_ref().map_or("/", |(p, _)| p);
        match condition {
            Condition::Host(host) => self.host.as_ref().filter(|h| !h.starts_with("*.") && !host.starts_with("*.")).map(|h| h == host),
            Condition::Path(p) => Some(p == path),
            Condition::Prefix(p) => Some(path.starts_with(p.as_str())),
            Condition::Method(method) => Some(method.eq_ignore_ascii_case("GET")),
            Condition::Special(_) => Some(false),
            Condition::Pattern(_) | Condition::Unknown(_) => None,
            Condition::Not(inner) => self.holds(inner).map(|b| !b),
            Condition::All(all) => all.iter().map(|c| self.holds(c)).fold(Some(true), both),
            Condition::Any(any) => any.iter().map(|c| self.holds(c).map(|b| !b)).fold(Some(true), both).map(|b| !b),
        }
    }

    /// What both allow; nothing where they exclude each other.
    fn and(&self, other: &Match) -> Option<Match> {
        let host = match (&self.host, &other.host) {
            (Some(a), Some(b)) => Some(narrower_host(a, b)?),
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        let path = match (&self.path, &other.path) {
            (Some(a), Some(b)) => Some(narrower_path(a, b)?),
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

fn narrower_host(a: &str, b: &str) -> Option<String> {
    let within = |wild: &str, host: &str| wild.strip_prefix('*').is_some_and(|end| host.ends_with(end));
    match (a, b) {
        _ if a == b || within(b, a) => Some(a.to_owned()),
        _ if within(a, b) => Some(b.to_owned()),
        _ => None,
    }
}

fn narrower_path(a: &(String, PathType), b: &(String, PathType)) -> Option<(String, PathType)> {
    match (a.1, b.1) {
        (_, PathType::Prefix) if a.0.starts_with(&b.0) => Some(a.clone()),
        (PathType::Prefix, _) if b.0.starts_with(&a.0) => Some(b.clone()),
        // A pattern below a prefix that it does not begin with as text: which of both is narrower is not known.
        (PathType::ImplementationSpecific, PathType::Prefix) => Some(a.clone()),
        (PathType::Prefix, PathType::ImplementationSpecific) => Some(b.clone()),
        _ if a == b => Some(a.clone()),
        _ => None,
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |f: &mut std::fmt::Formatter<'_>, all: &[Condition], between: &str| {
            let words: Vec<String> = all.iter().map(ToString::to_string).collect();
            write!(f, "({})", words.join(between))
        };
        match self {
            Condition::Host(text) => write!(f, "the host {text}"),
            Condition::Path(text) => write!(f, "the path {text}"),
            Condition::Prefix(text) => write!(f, "the path {text}*"),
            Condition::Pattern(text) => write!(f, "the path's pattern {text}"),
            Condition::Method(text) => write!(f, "the method {text}"),
            Condition::Special(text) | Condition::Unknown(text) => f.write_str(text),
            Condition::Not(inner) => write!(f, "not {inner}"),
            Condition::All(all) => list(f, all, " and "),
            Condition::Any(any) => list(f, any, " or "),
        }
    }
}

//! Conditions of HAProxy's rules, as far as they are about the host, the path, TLS or the port of a request.

use std::collections::BTreeMap;

use super::syntax::Line;
use crate::evidence::config::Listener;
use crate::evidence::config::text::is_name;
use crate::snapshot::objects::PathType;

/// Most alternatives that a condition may come to.
const MOST: usize = 500;

/// The lines of a section's ACLs, by their names.
pub type Acls<'c> = BTreeMap<&'c str, Vec<&'c Line>>;

/// Requests that a condition holds for; what is none may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// The host, possibly with a leading `*.`.
    pub host: Option<String>,
    /// The path, and how it is matched.
    pub path: Option<(String, PathType)>,
    /// Whether it came in over TLS.
    tls: Option<bool>,
    /// The listener's port.
    port: Option<u16>,
}

impl Claim {
    /// Whether a request that came in at a listener is meant.
    pub fn comes_in_at(&self, listener: &Listener) -> bool {
        self.tls.is_none_or(|tls| tls == listener.tls) && self.port.is_none_or(|port| port == listener.port)
    }

    /// The same for one host; nothing where it is for a host already.
    pub fn for_host(&self, host: &str) -> Option<Claim> {
        self.host.is_none().then(|| Claim { host: Some(host.to_ascii_lowercase()), ..self.clone() })
    }

    /// Whether it is everything that comes in without TLS, or simply everything.
    pub fn is_all_without_tls(&self) -> bool {
        *self == Claim { tls: self.tls.filter(|tls| !tls), ..Claim::default() }
    }

    /// The claim that both make; nothing where they exclude each other.
    fn and(&self, other: &Claim) -> Option<Claim> {
        fn both<T: Clone + PartialEq>(a: &Option<T>, b: &Option<T>) -> Option<Option<T>> {
            match (a, b) {
                (Some(a), Some(b)) => (a == b).then(|| Some(a.clone())),
                (Some(one), None) | (None, Some(one)) => Some(Some(one.clone())),
                (None, None) => Some(None),
            }
        }
        Some(Claim {
            host: both(&self.host, &other.host)?,
            path: both(&self.path, &other.path)?,
            tls: both(&self.tls, &other.tls)?,
            port: both(&self.port, &other.port)?,
        })
    }
}

/// The requests that a condition holds for, `words` beginning with `if` or `unless`. Nothing where it is not understood.
pub fn claims(words: &[String], acls: &Acls<'_>) -> Option<Vec<Claim>> {
    let (first, rest) = words.split_first()?;
    let mut all = Vec::new();
    for alternative in rest.split(|w| w == "or" || w == "||") {
        all.extend(conjunction(alternative, acls)?);
        if all.len() > MOST {
            return None;
        }
    }
    let claims = match first.as_str() {
        "if" => all,
        _ => opposite(&all)?,
    };
    Some(claims)
}

fn conjunction(words: &[String], acls: &Acls<'_>) -> Option<Vec<Claim>> {
    let mut claims = vec![Claim::default()];
    let mut rest = words;
    while let Some(first) = rest.first() {
        let (mut word, mut is_not) = (first.as_str(), false);
        while let Some(inner) = word.strip_prefix('!') {
            (word, is_not) = (inner, !is_not);
        }
        // `! name` and `!{ … }` are written too.
        if word.is_empty() {
            rest = &rest[1..];
            word = rest.first()?;
        }
        let term = if word == "{" {
            let end = rest.iter().position(|w| w == "}")?;
            let term = criterion(&rest[1..end]);
            rest = &rest[end + 1..];
            term
        } else {
            rest = &rest[1..];
            named(word, acls)
        }?;
        if is_not {
            claims = without(claims, &term)?;
        } else {
            claims = claims.iter().flat_map(|a| term.iter().filter_map(|b| a.and(b))).take(MOST + 1).collect();
        }
    }
    Some(claims)
}

/// Claims of which some requests are taken away. They hold still where each is about something that is not taken away.
fn without(claims: Vec<Claim>, taken: &[Claim]) -> Option<Vec<Claim>> {
    if let Some(left) = opposite(taken) {
        return Some(claims.iter().flat_map(|a| left.iter().filter_map(|b| a.and(b))).collect());
    }
    let only_host = |t: &Claim| t.host.is_some() && *t == Claim { host: t.host.clone(), ..Claim::default() };
    let only_path = |t: &Claim| t.path.is_some() && *t == Claim { path: t.path.clone(), ..Claim::default() };
    let spares = |claim: &Claim, t: &Claim| match (&claim.host, &t.host, &claim.path, &t.path) {
        (Some(mine), Some(theirs), ..) if only_host(t) => !is_of(mine, theirs),
        (_, _, mine, Some((theirs, how))) if only_path(t) && *how != PathType::ImplementationSpecific => {
            let mine = mine.as_ref().map_or("/", |(path, _)| path);
            !mine.starts_with(theirs.as_str())
        }
        _ => false,
    };
    claims.iter().all(|c| taken.iter().all(|t| spares(c, t))).then_some(claims)
}

/// Whether a host is of a pattern.
fn is_of(host: &str, pattern: &str) -> bool {
    host == pattern || pattern.strip_prefix('*').is_some_and(|end| host.ends_with(end))
}

/// The opposite of a single claim about TLS, or of one that holds always or never.
fn opposite(claims: &[Claim]) -> Option<Vec<Claim>> {
    match claims {
        [] => Some(vec![Claim::default()]),
        [Claim { host: None, path: None, tls: Some(tls), port: None }] => Some(vec![Claim { tls: Some(!tls), ..Claim::default() }]),
        [claim] if *claim == Claim::default() => Some(Vec::new()),
        _ => None,
    }
}

/// What an ACL's name stands for: any of its lines, or what HAProxy knows by itself.
fn named(name: &str, acls: &Acls<'_>) -> Option<Vec<Claim>> {
    let Some(lines) = acls.get(name) else {
        return match name {
            // Probes are GET requests over HTTP.
            "TRUE" | "HTTP" | "METH_GET" => Some(vec![Claim::default()]),
            "FALSE" | "METH_POST" | "METH_PUT" | "METH_DELETE" => Some(Vec::new()),
            _ => None,
        };
    };
    let mut all = Vec::new();
    for line in lines {
        all.extend(criterion(&line.words[2..])?);
        if all.len() > MOST {
            return None;
        }
    }
    Some(all)
}

/// What is compared, in which way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Host,
    Path,
}

/// The requests of a criterion with its flags and values: `hdr(host) -i shop.example`.
fn criterion(words: &[String]) -> Option<Vec<Claim>> {
    let (what, rest) = words.split_first()?;
    let what = what.replace(' ', "");
    let (mut method, values) = flags(rest)?;
    match what.as_str() {
        "ssl_fc" => return tls(&values),
        "dst_port" | "fe_port" => {
            let ports: Option<Vec<u16>> = values.iter().map(|v| v.parse().ok()).collect();
            return Some(ports?.into_iter().map(|port| Claim { port: Some(port), ..Claim::default() }).collect());
        }
        "always_true" => return Some(vec![Claim::default()]),
        "always_false" => return Some(Vec::new()),
        _ => {}
    }
    let (part, by_name) = part(&what)?;
    if !by_name.is_empty() {
        method = by_name;
    }
    let claims: Option<Vec<Vec<Claim>>> = values.iter().map(|value| claims_of(part, method, value)).collect();
    claims.map(|c| c.concat()).filter(|c| !c.is_empty())
}

/// The way of comparison that the flags ask for, and the values behind them. Nothing where the values are in a file.
fn flags(words: &[String]) -> Option<(&str, Vec<&str>)> {
    let (mut method, mut rest) = ("str", words);
    while let [flag, after @ ..] = rest {
        rest = after;
        match (flag.as_str(), after) {
            ("-i" | "-n", _) => {}
            ("-m", [named, after @ ..]) => (method, rest) = (named, after),
            ("--", _) => break,
            (flag, _) if flag.starts_with('-') => return None,
            _ => {
                rest = &words[words.len() - after.len() - 1..];
                break;
            }
        }
    }
    Some((method, rest.iter().map(String::as_str).collect()))
}

fn tls(values: &[&str]) -> Option<Vec<Claim>> {
    let tls = match values {
        [] | ["1" | "true"] => true,
        ["0" | "false"] => false,
        _ => return None,
    };
    Some(vec![Claim { tls: Some(tls), ..Claim::default() }])
}

/// What a sample is of, and the comparison that is in its name: `hdr_end(host)`, `path_beg`, `req.hdr(host),lower`.
fn part(what: &str) -> Option<(Part, &str)> {
    let (sample, converters) = match what.find("),") {
        Some(at) => (&what[..=at], &what[at + 2..]),
        None => what.split_once(',').unwrap_or((what, "")),
    };
    let lowers = |c: &str| matches!(c, "lower" | "field(1" | ":)" | "host_only" | "word(1" | "url_dec" | "");
    if !converters.split(',').all(lowers) {
        return None;
    }
    let sample = sample.strip_prefix("req.").unwrap_or(sample);
    let (name, argument) = sample.split_once('(').unwrap_or((sample, ""));
    let (name, method) = name.split_once('_').filter(|(n, _)| matches!(*n, "hdr" | "fhdr" | "path" | "url")).unwrap_or((name, ""));
    let is_host = argument.trim_end_matches(')').split(',').next().is_some_and(|a| a.eq_ignore_ascii_case("host"));
    match name {
        "hdr" | "fhdr" if is_host => Some((Part::Host, method)),
        "ssl_fc_sni" if argument.is_empty() => Some((Part::Host, method)),
        "path" | "url" if argument.is_empty() => Some((Part::Path, method)),
        _ => None,
    }
}

/// Requests for which a comparison holds. They may be fewer than all: a host that ends, begins or holds a text may also be that text.
fn claims_of(part: Part, method: &str, value: &str) -> Option<Vec<Claim>> {
    match part {
        Part::Host => {
            let hosts = hosts(method, &value.to_ascii_lowercase())?;
            Some(hosts.into_iter().map(|host| Claim { host: Some(host), ..Claim::default() }).collect())
        }
        Part::Path => {
            let path = match method {
                "str" => (value.to_owned(), PathType::Exact),
                "beg" => (value.to_owned(), PathType::Prefix),
                "dir" => (format!("/{}", value.trim_matches('/')), PathType::Prefix),
                "reg" => (value.to_owned(), PathType::ImplementationSpecific),
                _ => return None,
            };
            let is_path = path.1 == PathType::ImplementationSpecific || path.0.starts_with('/');
            is_path.then(|| vec![Claim { path: Some(path), ..Claim::default() }])
        }
    }
}

fn hosts(method: &str, value: &str) -> Option<Vec<String>> {
    let name = value.split(':').next().unwrap_or_default();
    let is_host = is_name(name) && !name.starts_with('.') && !name.ends_with('.');
    match method {
        "str" | "beg" | "sub" | "dom" if is_host => Some(vec![name.to_owned()]),
        "end" if is_host => Some(vec![name.to_owned(), format!("*.{name}")]),
        "end" => name.strip_prefix('.').filter(|n| is_name(n)).map(|n| vec![format!("*.{n}")]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::config::Place;

    fn line(text: &str) -> Line {
        Line { words: text.split_whitespace().map(str::to_owned).collect(), place: Place::default() }
    }

    fn shown(condition: &str) -> Option<String> {
        let acls = [
            line("acl shop hdr(host) -i Shop.example"),
            line("acl shop hdr(host) -i www.shop.example"),
            line("acl api path_beg /api /v1"),
            line("acl admin path_beg /api/admin"),
            line("acl odd src 10.0.0.0/8"),
            line("acl secure ssl_fc"),
        ];
        let mut by_name = Acls::new();
        acls.iter().for_each(|l| by_name.entry(l.word(1)).or_default().push(l));
        let claims = claims(&line(condition).words, &by_name)?;
        let show = |c: &Claim| {
            let path = c.path.as_ref().map_or(String::new(), |(p, how)| format!("{p}({how})"));
            format!("{}{path}{}", c.host.as_deref().unwrap_or("*"), c.tls.map_or("", |tls| if tls { "+tls" } else { "-tls" }))
        };
        Some(claims.iter().map(show).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn conditions_are_understood_or_not() {
        for (condition, expected) in [
            ("if shop", Some("shop.example www.shop.example")),
            (
                "if shop api",
                Some("shop.example/api(Prefix) shop.example/v1(Prefix) www.shop.example/api(Prefix) www.shop.example/v1(Prefix)"),
            ),
            ("if { hdr(host) -i a.b } or { path /x }", Some("a.b */x(Exact)")),
            ("if { req.hdr(host),lower -m end .a.b }", Some("*.a.b")),
            ("if { hdr_end(host) -i a.b }", Some("a.b *.a.b")),
            ("if { hdr_dom(host) -i a.b }", Some("a.b")),
            ("if { req.hdr(host),field(1,:) -i a.b }", Some("a.b")),
            ("if { ssl_fc_sni -i a.b }", Some("a.b")),
            ("if { path_reg ^/x/[0-9]+ }", Some("*^/x/[0-9]+(ImplementationSpecific)")),
            ("if { path -m beg /x }", Some("*/x(Prefix)")),
            ("if { path_dir static }", Some("*/static(Prefix)")),
            ("if shop !admin secure", Some("shop.example+tls www.shop.example+tls")),
            ("if api !admin", Some("*/api(Prefix) */v1(Prefix)")),
            ("if admin !api", None),
            ("if !secure", Some("*-tls")),
            ("unless { ssl_fc }", Some("*-tls")),
            ("if ! { ssl_fc }", Some("*-tls")),
            ("if TRUE", Some("*")),
            ("unless shop", None),
            ("if odd", None),
            ("if shop odd", None),
            ("if nobody", None),
            ("if { hdr(host) -f /hosts }", None),
            ("if { hdr_reg(host) ^a }", None),
            ("if { hdr_beg(host) www. }", None),
            ("if { hdr(x-y) a.b }", None),
            ("if { hdr(host),map(/x) a.b }", None),
            ("if {", None),
            ("if !", None),
            ("if { }", None),
        ] {
            assert_eq!(shown(condition).as_deref(), expected, "{condition}");
        }
    }
}

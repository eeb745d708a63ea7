//! Apache's rules that pass requests on: `ProxyPass`, `ProxyPassMatch` and `RewriteRule … [P]`.

use crate::evidence::config::directive::Directive;
use crate::evidence::config::limits::{ROUTES, cut};
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::excerpt;
use crate::snapshot::objects::PathType;

/// Requests of some path, and the URL that they are sent to.
#[derive(Clone, Debug)]
pub struct Rule<'c> {
    /// The directive.
    pub directive: &'c Directive,
    /// The path or pattern.
    pub path: String,
    /// How the path is matched.
    pub path_type: PathType,
    /// The URL in front of the rest of the path; none where the requests are not passed on.
    pub url: Option<String>,
    /// Whether the rest of the path follows the URL as it was asked for, or is not known.
    pub follows: bool,
    /// `key=value` behind the URL.
    pub parameters: &'c [String],
    /// Directives that hold for it before the server's: those of its `<Location>`.
    pub inner: &'c [Directive],
}

/// The rules of a server in the order that Apache asks them in: rewriting first.
pub fn rules<'c>(directives: &'c [Directive], notes: &mut Notes) -> Vec<Rule<'c>> {
    let mut rules = rewrites(directives, notes);
    for directive in directives {
        match directive.name.as_str() {
            "proxypass" => rules.push(pass(directive, directive.arg(), 1, &[])),
            "proxypassmatch" => rules.push(pass_match(directive, directive.arg(), 1, &[])),
            "location" | "locationmatch" if directive.block.is_some() => rules.extend(of_location(directive, notes)),
            "if" | "elseif" | "else" => note_inner(directive, "what is passed on only under <If> is not followed", notes),
            "directory" | "files" | "filesmatch" | "directorymatch" => {
                note_inner(directive, "what is passed on for files is not followed", notes);
            }
            _ => {}
        }
    }
    if let Some(first) = directives.first() {
        cut(&mut rules, ROUTES, "rules", &first.place, notes);
    }
    rules
}

fn of_location<'c>(location: &'c Directive, notes: &mut Notes) -> Vec<Rule<'c>> {
    let is_pattern = location.name == "locationmatch" || location.arg() == "~";
    let path = location.args.last().map_or("", String::as_str);
    let mut rules = Vec::new();
    for directive in location.inner() {
        match directive.name.as_str() {
            // With two arguments the first one is a path all the same.
            "proxypass" if directive.args.len() > 1 && directive.arg().starts_with('/') => {
                rules.push(pass(directive, directive.arg(), 1, location.inner()));
            }
            "proxypass" if !is_pattern => rules.push(pass(directive, path, 0, location.inner())),
            "proxypass" | "proxypassmatch" => rules.push(pass_match(directive, path, 0, location.inner())),
            _ => {}
        }
    }
    note_inner(location, "what a handler or a rewrite within a location passes on is not followed", notes);
    rules
}

/// Notes what passes requests on in ways that are not followed.
fn note_inner(section: &Directive, text: &str, notes: &mut Notes) {
    let is_location = section.name.starts_with("location");
    for directive in section.inner() {
        let passes = match directive.name.as_str() {
            "proxypass" | "proxypassmatch" => !is_location,
            "sethandler" => directive.arg().starts_with("proxy:"),
            "rewriterule" => flags(directive).iter().any(|f| f == "p" || f == "proxy"),
            _ => false,
        };
        if passes {
            notes.add(&directive.place, text);
        }
    }
}

/// `ProxyPass PATH URL …`, the URL being the argument of this number.
fn pass<'c>(directive: &'c Directive, path: &str, number: usize, inner: &'c [Directive]) -> Rule<'c> {
    let url = Some(directive.at(number)).filter(|u| *u != "!").map(str::to_owned);
    let parameters = directive.args.get(number + 1..).unwrap_or_default();
    Rule { directive, path: path.to_owned(), path_type: PathType::Prefix, url, follows: true, parameters, inner }
}

/// `ProxyPassMatch PATTERN URL …`
fn pass_match<'c>(directive: &'c Directive, pattern: &str, number: usize, inner: &'c [Directive]) -> Rule<'c> {
    let url = directive.at(number);
    let parameters = directive.args.get(number + 1..).unwrap_or_default();
    let (path, path_type, front) = match simple(pattern, url) {
        Some((path, front)) => (path, PathType::Prefix, Some(front)),
        None => (pattern.to_owned(), PathType::ImplementationSpecific, None),
    };
    let follows = front.is_some();
    let url = Some(front.unwrap_or_else(|| url.to_owned())).filter(|u| u != "!");
    Rule { directive, path, path_type, url, follows, parameters, inner }
}

/// Path and URL of a pattern that takes all of what follows a text: `^/api/(.*)$` with `http://app/$1`, `^(/api/.*)$` with `http://app$1`.
fn simple(pattern: &str, url: &str) -> Option<(String, String)> {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let pattern = pattern.strip_suffix('$').unwrap_or(pattern);
    let front = url.strip_suffix("$1").filter(|front| !front.contains('$'))?;
    let (literal, url) = match pattern.strip_prefix('(').and_then(|p| p.strip_suffix(".*)")) {
        Some(literal) => (literal, format!("{front}{literal}")),
        None => (pattern.strip_suffix("(.*)")?, front.to_owned()),
    };
    // The slash that an optional one stands for is there: every path has it.
    let literal = if literal == "/?" { "/" } else { literal };
    let is_plain = literal.chars().all(|c| c.is_ascii_alphanumeric() || "/-_".contains(c));
    match literal {
        // All of the path: it begins with a slash itself.
        "" => Some(("/".into(), format!("{url}/"))),
        _ => (is_plain && literal.starts_with('/')).then(|| (literal.to_owned(), url)),
    }
}

/// The rules that rewriting makes, with `RewriteEngine on`.
fn rewrites<'c>(directives: &'c [Directive], notes: &mut Notes) -> Vec<Rule<'c>> {
    let is_on = |d: &Directive| d.name == "rewriteengine" && d.arg().eq_ignore_ascii_case("on");
    let mut rules = Vec::new();
    let mut has_conditions = false;
    for directive in directives.iter().filter(|_| directives.iter().any(is_on)) {
        match directive.name.as_str() {
            "rewritecond" => has_conditions = true,
            "rewriterule" => {
                let passes = flags(directive).iter().any(|f| f == "p" || f == "proxy");
                if passes && (has_conditions || simple(directive.arg(), directive.at(1)).is_none()) {
                    let text = format!("`RewriteRule {}` passes on what is not known; it is not followed", excerpt(directive.arg()));
                    notes.add(&directive.place, text);
                } else if passes {
                    rules.push(Rule { parameters: &[], ..pass_match(directive, directive.arg(), 1, &[]) });
                }
                has_conditions = false;
            }
            _ => {}
        }
    }
    rules
}

/// The flags of a `RewriteRule` in lower case: `[P,L]`.
fn flags(rule: &Directive) -> Vec<String> {
    rule.at(2).trim_matches(['[', ']']).split(',').map(|f| f.trim().to_ascii_lowercase()).collect()
}

/// Whether a server sends every request to another place: `RewriteRule ^ https://… [R]`, for plain HTTP also where TLS is asked for first.
pub fn redirects_everything(directives: &[Directive], is_plain: bool) -> bool {
    let is_on = |d: &Directive| d.name == "rewriteengine" && d.arg().eq_ignore_ascii_case("on");
    let mut holds = true;
    for directive in directives.iter().filter(|_| directives.iter().any(is_on)) {
        match directive.name.as_str() {
            "rewritecond" => holds &= is_plain && asks_for_plain(directive),
            "rewriterule" => {
                let everything = matches!(
                    directive.arg(),
                    "^" | ".*" | "(.*)" | "^(.*)$" | "^(.*)" | "^.*$" | "^/(.*)$" | "^/?(.*)$" | "^/?(.*)" | "^/(.*)"
                );
                let redirects = flags(directive).iter().any(|f| f == "r" || f.starts_with("r=") || f.starts_with("redirect"));
                if holds && everything && redirects {
                    return true;
                }
                holds = true;
            }
            _ => {}
        }
    }
    false
}

fn asks_for_plain(condition: &Directive) -> bool {
    let asked = (condition.arg().to_ascii_uppercase(), condition.at(1).to_ascii_lowercase());
    matches!(
        (asked.0.as_str(), asked.1.as_str()),
        ("%{HTTPS}", "off" | "!=on" | "!on" | "=off" | "^off$") | ("%{SERVER_PORT}", "80" | "^80$" | "!^443$")
    )
}

//! nginx' locations, and the path that an upstream gets.

use super::scope::variables;
use super::upstream::Pass;
use crate::evidence::config::directive::Directive;
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::excerpt;
use crate::snapshot::objects::PathType;

/// What a `location` is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The path or pattern as written.
    pub path: String,
    /// How it is matched.
    pub path_type: PathType,
}

impl Location {
    /// What a `location` is for; nothing for a named one (`@name`).
    pub fn of(block: &Directive) -> Option<Location> {
        let written = block.args.concat();
        let (sign, path_type) = match written.as_str() {
            w if w.starts_with('@') => return None,
            w if w.starts_with("^~") => (2, PathType::Prefix),
            w if w.starts_with("~*") => (2, PathType::ImplementationSpecific),
            w if w.starts_with('~') => (1, PathType::ImplementationSpecific),
            w if w.starts_with('=') => (1, PathType::Exact),
            _ => (0, PathType::Prefix),
        };
        Some(Location { path: written[sign..].to_owned(), path_type })
    }

    /// Everything: what stands in a server outside of its locations.
    pub fn root() -> Location {
        Location { path: "/".into(), path_type: PathType::Prefix }
    }
}

/// Whether variables stand for the whole of what the client asked for.
pub fn is_whole(path: &str) -> bool {
    let path = path.replace(['{', '}'], "");
    let path = path.strip_suffix("$is_args$args").unwrap_or(&path);
    matches!(path, "$request_uri" | "$uri" | "$document_uri")
}

/// What stands in front of the rest of a path after the location's own; nothing where the path is kept.
pub fn forwarded(pass: &Pass<'_>, written: &str, varies: bool, notes: &mut Notes) -> Option<String> {
    let (location, place) = (pass.location, &pass.directive.place);
    let is_pattern = location.path_type == PathType::ImplementationSpecific;
    if !written.contains("$request_uri")
        && let Some(rewrite) = rewrites(pass).next()
    {
        let prefix = rewritten(rewrite, location).filter(|_| !is_pattern && rewrites(pass).count() == 1);
        if prefix.is_none() {
            notes.add(&rewrite.place, "what this makes of the path is not known; it is taken as kept");
        }
        return prefix;
    }
    if written.is_empty() || is_whole(written) {
        return None;
    }
    if is_pattern && !varies {
        notes.add(place, "nginx takes no path behind the upstream in a location with a regular expression");
        return None;
    }
    let fixed = written.strip_suffix("$is_args$args").unwrap_or(written);
    let in_front = ["$request_uri", "$uri", "$document_uri"].iter().find_map(|whole| fixed.strip_suffix(whole));
    match in_front {
        Some(front) if variables(front).next().is_none() && !is_pattern => Some(format!("{front}{}", location.path)),
        None if variables(fixed).next().is_none() => {
            if varies {
                notes.add(place, format!("with a variable, {} replaces the whole path of every request", excerpt(fixed)));
            }
            Some(fixed.to_owned())
        }
        _ => {
            notes.add(place, format!("the path {} is not known; it is taken as kept", excerpt(fixed)));
            None
        }
    }
}

/// Rewrites that change the path on the way to the upstream.
fn rewrites<'c>(pass: &Pass<'c>) -> impl Iterator<Item = &'c Directive> {
    pass.scope.directives().filter(|d| d.name == "rewrite" && !is_redirect(d))
}

/// Whether a `rewrite` answers the client with another place.
pub fn is_redirect(rewrite: &Directive) -> bool {
    let to = rewrite.args.get(1).map_or("", String::as_str);
    let flag = rewrite.args.get(2).map_or("", String::as_str);
    matches!(flag, "redirect" | "permanent") || ["http://", "https://", "$scheme"].iter().any(|s| to.starts_with(s))
}

/// Whether a pattern of a `rewrite` means every path.
pub fn is_everything(pattern: &str) -> bool {
    matches!(pattern.trim_end_matches('$'), "^" | "" | ".*" | "(.*)" | "^.*" | "^(.*)" | "^/" | "^/.*" | "^/(.*)")
}

/// The path of `rewrite ^/api/(.*) /$1 break` in front of the rest of the location's: the only form that is followed.
fn rewritten(rewrite: &Directive, location: &Location) -> Option<String> {
    let [pattern, to, flag] = rewrite.args.as_slice() else { return None };
    let rest = pattern.strip_prefix('^')?;
    let literal = rest.strip_suffix('$').unwrap_or(rest).strip_suffix("(.*)")?;
    let literal = literal.strip_suffix("/?").unwrap_or(literal);
    let front = to.strip_suffix("$1").or_else(|| to.strip_suffix("${1}"))?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_".contains(c);
    if flag != "break" || !literal.chars().all(is_plain) || variables(front).next().is_some() {
        return None;
    }
    let mut left = location.path.strip_prefix(literal)?;
    if rest.contains("/?(.*)") {
        left = left.strip_prefix('/').unwrap_or(left);
    }
    Some(format!("{front}{left}"))
}

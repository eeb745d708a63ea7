//! Paths that are regular expressions, or look like one, and a request that each of them means.

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::snapshot::objects::PathType;

/// Characters of `ImplementationSpecific` paths that some gateways read as a pattern.
const META: &[char] = &['(', '[', '*', '?', '+', '|', '^', '$', '\\'];
/// What nobody writes into a path but as a part of a pattern.
const UNMISTAKABLE: &[&str] = &["(.*)", ".*", ".+", "(/|$)", "[^", "]+", "]*", "\\d", "\\w"];

/// Whether a path is meant as a pattern, whatever its gateway makes of it.
pub fn is_meant(path: &str, path_type: PathType) -> bool {
    match path_type {
        PathType::ImplementationSpecific => path.contains(META),
        PathType::Exact | PathType::Prefix => path.ends_with('$') || UNMISTAKABLE.iter().any(|part| path.contains(part)),
    }
}

/// A path that a pattern means: as little as it asks for. Nothing where it is none that can be read.
pub fn example(pattern: &str) -> Option<String> {
    let parsed = regex_syntax::Parser::new().parse(pattern).ok()?;
    let mut path = String::new();
    write(&parsed, &mut path)?;
    (path.starts_with('/') && path.chars().all(|c| c.is_ascii_graphic() && !"?#".contains(c))).then_some(path)
}

fn write(part: &Hir, path: &mut String) -> Option<()> {
    match part.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => path.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(class) => path.push(one_of(class)?),
        HirKind::Capture(group) => write(&group.sub, path)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|p| write(p, path))?,
        HirKind::Alternation(parts) => write(parts.first()?, path)?,
        HirKind::Repetition(repeated) => {
            // As a shell's pattern, `/api/*` means what is below /api/; with the slash both readings agree.
            let once = repeated.min == 0 && matches!(repeated.sub.kind(), HirKind::Literal(_));
            (0..repeated.min.max(u32::from(once)).min(64)).try_for_each(|_| write(&repeated.sub, path))?;
        }
    }
    Some(())
}

/// A character of a class: a letter or digit where it has one.
fn one_of(class: &Class) -> Option<char> {
    let holds = |c: char| match class {
        Class::Unicode(class) => class.ranges().iter().any(|r| (r.start()..=r.end()).contains(&c)),
        Class::Bytes(class) => class.ranges().iter().any(|r| (r.start()..=r.end()).contains(&(c as u8))),
    };
    ('a'..='z').chain('0'..='9').chain('A'..='Z').chain('!'..='~').find(|c| holds(*c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_what_the_pattern_matches() {
        for (pattern, path) in [
            ("/api(/|$)(.*)", "/api/"),
            ("/api/(.*)", "/api/"),
            ("/api/?(.*)", "/api/"),
            ("/api.*", "/api"),
            ("/v[0-9]+/x", "/v0/x"),
            ("/(web|api)/x$", "/web/x"),
            ("/[^/]+/x", "/a/x"),
            ("/api/*", "/api/"),
            ("/*", "/"),
            ("^/\\d{2}$", "/00"),
        ] {
            assert_eq!(example(pattern).as_deref(), Some(path), "{pattern}");
        }
        assert_eq!(example("/api("), None);
        assert_eq!(example("(.*)"), None);
    }

    #[test]
    fn plain_paths_are_no_patterns() {
        for path in ["/", "/cart", "/a.b/c", "/files(1)", "/~me", "/a+b"] {
            assert!(!is_meant(path, PathType::Prefix), "{path}");
        }
        assert!(is_meant("/api(/|$)(.*)", PathType::Prefix));
        assert!(is_meant("/api/*", PathType::ImplementationSpecific));
    }
}

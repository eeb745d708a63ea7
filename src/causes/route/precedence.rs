//! Which of two rules that match one request a gateway prefers.
//!
//! Sources: Kubernetes documentation, "Ingress" (the longest path, and Exact before Prefix; a host before its wildcard); Traefik
//! `pkg/muxer/http` (the longer rule's text, or the annotation `router.priority`), `pkg/provider/kubernetes/ingress` (the text);
//! ingress-nginx user guide, "Ingress Path Matching" (with regular expressions, the longer path).

use crate::path::{Implementation, Route, pattern, traefik};
use crate::snapshot::objects::{Ingress, PathType};

/// Why a rule is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// Its host or path is more specific: it is meant to win.
    Specific,
    /// An annotation puts it first.
    Priority(i64),
    /// Traefik prefers the longer text of a rule.
    Text(i64),
    /// ingress-nginx compares regular expressions by their length.
    Pattern,
}

/// A rule and the Ingress that it stands in.
pub type Rule<'r> = (&'r Ingress, &'r Route);

/// Whether a rule's path matches a path, as generously as any gateway does.
pub fn matches(route: &Route, path: &str) -> bool {
    if pattern::is_meant(&route.path, route.path_type) {
        let end = route.path.find(['(', '[', '*', '?', '+', '|', '^', '$', '\\', '.']).unwrap_or(route.path.len());
        return route.path.contains('*') && path.starts_with(route.path[..end].trim_end_matches('/'));
    }
    match route.path_type {
        PathType::Exact => route.path == path,
        PathType::Prefix | PathType::ImplementationSpecific => path.starts_with(route.path.trim_end_matches('/')),
    }
}

/// Why a gateway prefers one rule to another that matches the same request; nothing where it does not, as far as is known.
pub fn of(gateway: Implementation, with_patterns: bool, rule: Rule<'_>, other: Rule<'_>) -> Option<Rank> {
    if gateway == Implementation::Traefik {
        let (mine, theirs) = (priority(rule), priority(other));
        return (mine > theirs).then(|| match (annotated(rule.0), is_more_specific(rule.1, other.1)) {
            (Some(set), _) => Rank::Priority(set),
            (None, true) => Rank::Specific,
            (None, false) => Rank::Text(mine),
        });
    }
    if gateway == Implementation::Nginx && with_patterns {
        return (rule.1.path.len() > other.1.path.len()).then_some(Rank::Pattern);
    }
    is_more_specific(rule.1, other.1).then_some(Rank::Specific)
}

/// Whether a rule takes no more than a part of what another takes.
pub fn is_more_specific(rule: &Route, other: &Route) -> bool {
    let host = |r: &Route| r.host.as_ref().map_or(0, |h| if h.starts_with("*.") { 1 } else { 2 });
    let path = |r: &Route| (r.path_type == PathType::Exact, r.path.trim_end_matches('/').len());
    (host(rule), path(rule)) > (host(other), path(other))
}

fn annotated(ingress: &Ingress) -> Option<i64> {
    traefik::annotation(ingress, "priority").and_then(|p| p.trim().parse().ok()).filter(|p| *p != 0)
}

/// The priority that Traefik gives a rule.
fn priority((ingress, route): Rule<'_>) -> i64 {
    annotated(ingress).unwrap_or_else(|| i64::try_from(text(ingress, route).len()).unwrap_or(i64::MAX))
}

/// The rule as Traefik writes it; its length is what counts.
fn text(ingress: &Ingress, route: &Route) -> String {
    let host = route.host.as_deref().map(|h| match h.strip_prefix("*.") {
        Some(parent) => format!("HostRegexp(`^[a-zA-Z0-9-]+\\.{}$`)", parent.replace('.', "\\.")),
        None => format!("Host(`{h}`)"),
    });
    let matcher = match route.path_type {
        PathType::Exact => "Path",
        PathType::Prefix => "PathPrefix",
        PathType::ImplementationSpecific => traefik::annotation(ingress, "pathmatcher").unwrap_or("PathPrefix"),
    };
    host.into_iter().chain([format!("{matcher}(`{}`)", route.path)]).collect::<Vec<_>>().join(" && ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::objects::{Kind, ObjectRef};

    fn route(host: &str, path: &str, path_type: PathType) -> Route {
        Route {
            target: ObjectRef::new(Kind::Ingress, "shop", "web"),
            field: String::new(),
            host: (!host.is_empty()).then(|| host.to_owned()),
            path: path.into(),
            path_type,
            tls: false,
            service: None,
            port: None,
        }
    }

    fn rank(gateway: Implementation, rule: &Route, other: &Route) -> Option<Rank> {
        let ingress = Ingress::default();
        of(gateway, false, (&ingress, rule), (&ingress, other))
    }

    #[test]
    fn a_short_exact_path_loses_to_a_prefix_on_traefik_alone() {
        let (exact, prefix) = (route("shop.test", "/api", PathType::Exact), route("shop.test", "/", PathType::Prefix));
        assert_eq!(rank(Implementation::Nginx, &exact, &prefix), Some(Rank::Specific));
        assert_eq!(rank(Implementation::Traefik, &exact, &prefix), None);
        assert!(matches!(rank(Implementation::Traefik, &prefix, &exact), Some(Rank::Text(_))));
        let long = route("shop.test", "/api/orders", PathType::Exact);
        assert_eq!(rank(Implementation::Traefik, &prefix, &long), None);
    }

    #[test]
    fn an_annotation_counts_before_the_length() {
        let (mut first, second) = (Ingress::default(), Ingress::default());
        first.meta.annotations.insert("traefik.ingress.kubernetes.io/router.priority".into(), "500".into());
        let (short, long) = (route("shop.test", "/", PathType::Prefix), route("shop.test", "/api", PathType::Prefix));
        let rank = of(Implementation::Traefik, false, (&first, &short), (&second, &long));
        assert_eq!(rank, Some(Rank::Priority(500)));
    }
}

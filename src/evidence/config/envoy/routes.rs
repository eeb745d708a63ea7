//! Routes of a virtual host's table.

use std::time::Duration;

use super::clusters::Clusters;
use crate::evidence::config::condition::Condition;
use crate::evidence::config::limits::ROUTES;
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::duration;
use crate::evidence::config::tree::Tree;
use crate::evidence::config::{ConfiguredRoute, HostHeader, Listener, Upstream};
use crate::snapshot::objects::PathType;

/// How long a route waits for an answer unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What a table of routes needs of what is around it.
pub(super) struct Table<'a> {
    /// Where it is served.
    pub listeners: &'a [Listener],
    /// The hosts that come to it.
    pub condition: &'a Condition,
    /// All clusters.
    pub clusters: &'a Clusters,
}

impl Table<'_> {
    /// The routes of a `route_config`.
    pub fn routes(&self, config: &Tree, notes: &mut Notes) -> Vec<ConfiguredRoute> {
        let mut all = Vec::new();
        for host in config.items_of("virtual_hosts") {
            let redirected = host.text("require_tls").is_some_and(|r| !r.eq_ignore_ascii_case("NONE"));
            let listeners: Vec<Listener> = self.listeners.iter().filter(|l| l.tls || !redirected).cloned().collect();
            if listeners.is_empty() {
                continue;
            }
            let domains = Condition::Any(host.texts("domains").into_iter().map(domain).collect());
            for route in host.items_of("routes") {
                if all.len() >= ROUTES {
                    notes.add(&route.place, "there are more routes than are kept");
                    return all;
                }
                let condition = Condition::All(vec![self.condition.clone(), domains.clone(), matched(route)]);
                all.extend(self.route(route, &condition, &listeners, notes));
            }
        }
        all
    }

    /// A route that sends requests on; redirects and fixed answers do not.
    fn route(&self, route: &Tree, condition: &Condition, listeners: &[Listener], notes: &mut Notes) -> Vec<ConfiguredRoute> {
        let Some(action) = route.get("route") else { return Vec::new() };
        let place = &route.place;
        let (matches, left) = match condition.matches() {
            Ok(matches) => matches,
            Err(why) => {
                notes.add(place, format!("which requests it is for is not understood: {why}"));
                return Vec::new();
            }
        };
        left.iter().for_each(|what| notes.add(place, format!("what asks for {what} is left out")));
        let upstream = self.upstream(action, notes);
        let each = matches.into_iter().map(|m| {
            let (path, path_type) = m.path.unwrap_or_else(|| ("/".to_owned(), PathType::Prefix));
            let (place, listeners, upstream) = (place.clone(), listeners.to_vec(), upstream.clone());
            ConfiguredRoute { place, listeners, host: m.host, path, path_type, resolver: None, upstream }
        });
        each.collect()
    }

    fn upstream(&self, action: &Tree, notes: &mut Notes) -> Upstream {
        let weighted = action.items_of("weighted_clusters.clusters");
        let names: Vec<&str> = action.text("cluster").into_iter().chain(weighted.iter().filter_map(|c| c.text("name"))).collect();
        if names.is_empty() {
            notes.add(&action.place, "which cluster it goes to is not known before a request");
        }
        let upstream = self.clusters.upstream(&names, &action.place, notes);
        for unknown in ["regex_rewrite", "path_rewrite_policy", "host_rewrite_path_regex", "host_rewrite_header", "path_rewrite"] {
            if let Some(tree) = action.get(unknown) {
                notes.add(&tree.place, format!("what {unknown} makes is not known"));
            }
        }
        let fixed = ["host_rewrite_literal", "host_rewrite"].iter().find_map(|n| action.text(n));
        let own = || upstream.servers.first().filter(|_| action.truth("auto_host_rewrite") == Some(true)).map(|s| s.host.clone());
        let host = fixed.map(str::to_owned).or_else(own);
        Upstream {
            host_header: host.map_or(HostHeader::Client, HostHeader::Fixed),
            path_prefix: action.text("prefix_rewrite").filter(|p| !p.is_empty()).map(str::to_owned),
            read_timeout: timeout(action),
            ..upstream
        }
    }
}

/// How long it waits; nothing where it waits for ever.
fn timeout(action: &Tree) -> Option<Duration> {
    let written = action.text("timeout").and_then(|t| duration(t, Duration::from_secs(1)));
    Some(written.unwrap_or(TIMEOUT)).filter(|t| !t.is_zero())
}

/// What a domain of a virtual host asks for; a port in it says nothing about the host.
pub(super) fn domain(text: &str) -> Condition {
    let host = text.rsplit_once(':').filter(|(h, p)| !h.contains(':') && p.bytes().all(|b| b.is_ascii_digit())).map_or(text, |(h, _)| h);
    match host {
        "*" => Condition::All(Vec::new()),
        h if h.trim_start_matches("*.").contains('*') => Condition::Unknown(format!("the host {h}")),
        h => Condition::Host(h.to_ascii_lowercase()),
    }
}

/// What a route's `match` asks for.
fn matched(route: &Tree) -> Condition {
    let mut all = Vec::new();
    for (kind, value) in route.get("match").map(Tree::entries).unwrap_or_default() {
        let text = value.as_text().unwrap_or_default().to_owned();
        all.push(match kind.as_str() {
            "prefix" | "path_separated_prefix" | "pathSeparatedPrefix" => Condition::Prefix(text),
            "path" => Condition::Path(text),
            "regex" => Condition::Pattern(text),
            "safe_regex" | "safeRegex" => Condition::Pattern(value.text("regex").unwrap_or_default().to_owned()),
            "headers" => Condition::All(value.items().into_iter().map(header).collect()),
            "query_parameters" | "queryParameters" => Condition::Special("a query".into()),
            "grpc" => Condition::Special("gRPC".into()),
            "case_sensitive" | "caseSensitive" => continue,
            other => Condition::Unknown(other.to_owned()),
        });
    }
    Condition::All(all)
}

fn header(tree: &Tree) -> Condition {
    let name = tree.text("name").unwrap_or_default();
    let exact = tree.text("string_match.exact").or_else(|| tree.text("exact_match"));
    let condition = match (name, exact) {
        (":method", Some(method)) => Condition::Method(method.to_owned()),
        (":authority", Some(host)) => domain(host),
        (n, _) if n.starts_with(':') => Condition::Unknown(format!("the header {n}")),
        (n, _) => Condition::Special(format!("the header {n}")),
    };
    let inverted = tree.truth("invert_match") == Some(true);
    let absent = tree.truth("present_match") == Some(false);
    if inverted != absent { Condition::Not(Box::new(condition)) } else { condition }
}

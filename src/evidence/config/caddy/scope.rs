//! Which requests reach a place in the configuration, and what has become of their path there.

use super::proxy::Proxy;
use crate::evidence::config::condition::Condition;
use crate::evidence::config::notes::Notes;
use crate::evidence::config::{ConfiguredRoute, Listener, Place, Upstream};
use crate::snapshot::objects::PathType;

/// A place in the configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// Where it is served.
    pub listeners: Vec<Listener>,
    /// What requests must meet to come here.
    pub conditions: Vec<Condition>,
    /// The beginning of the path that was taken away.
    pub stripped: String,
    /// What was put in front of the path.
    pub added: String,
}

impl Scope {
    /// The place behind one more condition, which sees the path as it is here.
    pub fn under(&self, condition: Option<Condition>) -> Scope {
        let mut scope = self.clone();
        scope.conditions.extend(condition.map(|c| self.seen_by_client(c)));
        scope
    }

    /// The place behind taking away a beginning of the path, where it is there.
    pub fn strip(&mut self, prefix: &str) {
        self.stripped.push_str(prefix.trim_end_matches('/'));
    }

    /// What becomes of the path by a rewrite such as `/new{uri}`; false where that is not known.
    pub fn rewrite(&mut self, to: &str) -> bool {
        let rest = ["{uri}", "{path}", "{http.request.uri}", "{http.request.uri.path}", "{http.request.orig_uri}"];
        let Some(front) = rest.iter().find_map(|r| to.strip_suffix(r)).filter(|f| !f.contains('{')) else { return false };
        self.added.insert_str(0, front);
        true
    }

    /// A condition on the path as the client sends it.
    fn seen_by_client(&self, condition: Condition) -> Condition {
        let path = |p: String| format!("{}{p}", self.stripped);
        let each = |all: Vec<Condition>| all.into_iter().map(|c| self.seen_by_client(c)).collect();
        match condition {
            Condition::Path(p) => Condition::Path(path(p)),
            Condition::Prefix(p) => Condition::Prefix(path(p)),
            Condition::Not(inner) => Condition::Not(Box::new(self.seen_by_client(*inner))),
            Condition::All(all) => Condition::All(each(all)),
            Condition::Any(any) => Condition::Any(each(any)),
            other => other,
        }
    }

    /// The routes of a proxy at this place.
    pub fn routes(&self, proxy: &Proxy, place: &Place, upstream: &Upstream, notes: &mut Notes) -> Vec<ConfiguredRoute> {
        let mut scope = self.clone();
        for prefix in &proxy.strips {
            scope.strip(prefix);
        }
        if let Some(to) = proxy.rewrite.as_ref().filter(|to| !scope.rewrite(to)) {
            notes.add(place, format!("what path the rewrite to {to} makes is not known"));
        }
        let (matches, left) = match Condition::All(scope.conditions.clone()).matches() {
            Ok(matches) => matches,
            Err(why) => {
                notes.add(place, format!("which requests come here is not understood: {why}"));
                return Vec::new();
            }
        };
        left.iter().for_each(|what| notes.add(place, format!("what asks for {what} is left out")));
        let route = |host: Option<String>, path: Option<(String, PathType)>| {
            let (path, path_type) = path.unwrap_or_else(|| ("/".to_owned(), PathType::Prefix));
            let upstream = Upstream { path_prefix: scope.path_prefix(&path), ..upstream.clone() };
            ConfiguredRoute { place: place.clone(), listeners: scope.listeners.clone(), host, path, path_type, resolver: None, upstream }
        };
        matches.into_iter().map(|m| route(m.host, m.path)).collect()
    }

    fn path_prefix(&self, path: &str) -> Option<String> {
        let rest = path.strip_prefix(self.stripped.as_str()).unwrap_or(path);
        (rest != path || !self.added.is_empty()).then(|| format!("{}{rest}", self.added))
    }
}

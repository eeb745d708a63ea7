//! From routers and services to routes.

use std::time::Duration;

use super::dynamic::{Dynamic, Kind, Router, Servers};
use super::rule;
use super::startup::{EntryPoint, Startup};
use crate::evidence::config::condition::Match;
use crate::evidence::config::limits::{ROUTES, SERVERS};
use crate::evidence::config::text::duration;
use crate::evidence::config::tree::Tree;
use crate::evidence::config::{ConfiguredRoute, HostHeader, Listener, Lookup, Note, Place, Server, Upstream};
use crate::probe::Scheme;
use crate::snapshot::objects::PathType;

/// How many services may stand one behind the other, and middlewares in chains.
const DEEPEST: usize = 8;

/// Everything that Traefik is told.
pub(super) struct Told<'a> {
    /// When it starts.
    pub startup: &'a Startup,
    /// While it runs.
    pub dynamic: &'a Dynamic,
}

/// What middlewares make of a request.
#[derive(Debug, Default)]
struct Changes {
    /// It is redirected to HTTPS.
    redirects: bool,
    /// Prefixes of which one is taken away.
    strips: Vec<String>,
    /// A prefix that is put in front.
    adds: Option<String>,
    /// Middlewares whose effect on the path is not known.
    unknown: Vec<String>,
}

impl Told<'_> {
    /// The routes of all routers, up to as many as are kept.
    pub fn routes(&self, notes: &mut Vec<Note>) -> Vec<ConfiguredRoute> {
        let routers = self.dynamic.routers.iter();
        routers.flat_map(|(name, router)| self.routes_of(name, router, notes)).take(ROUTES).collect()
    }

    fn routes_of(&self, name: &str, router: &Router, notes: &mut Vec<Note>) -> Vec<ConfiguredRoute> {
        let mut note = |text: String| notes.push(Note { place: router.place.clone(), text });
        if router.service.ends_with("@internal") {
            return Vec::new();
        }
        let listeners = self.listeners(name, router, &mut note);
        let upstream = self.upstream(router, &mut note);
        let matches = match rule::matches(&router.rule) {
            Ok((matches, left)) => {
                left.into_iter().for_each(|l| note(format!("of the router {name}'s rule what asks for {l} is left out")));
                matches
            }
            Err(why) => {
                note(format!("the rule of the router {name} is not understood: {why}"));
                return Vec::new();
            }
        };
        if listeners.is_empty() {
            return Vec::new();
        }
        let changes = self.changes(&router.middlewares, DEEPEST);
        for middleware in &changes.unknown {
            note(format!("the path that {middleware} makes is not known"));
        }
        let resolver = self.resolver(router);
        let of = |m| ConfiguredRoute { resolver: resolver.clone(), ..route(router, &listeners, &upstream, &changes, m) };
        matches.into_iter().map(of).collect()
    }

    /// Where a router is served. An entry point that redirects every request is none of them.
    fn listeners(&self, name: &str, router: &Router, note: &mut impl FnMut(String)) -> Vec<Listener> {
        let known = &self.startup.entry_points;
        for missing in router.entry_points.iter().filter(|n| !known.iter().any(|e| e.name.eq_ignore_ascii_case(n))) {
            note(format!("the router {name} names the entry point {missing}, which does not exist"));
        }
        let serves = |e: &&EntryPoint| match router.entry_points.as_slice() {
            [] => e.is_default,
            names => names.iter().any(|n| n.eq_ignore_ascii_case(&e.name)),
        };
        let listener = |e: &EntryPoint| listener(e, router.tls || e.tls);
        let redirects = |e: &EntryPoint| {
            let all: Vec<String> = e.middlewares.iter().chain(&router.middlewares).cloned().collect();
            e.redirects || (!router.tls && !e.tls && self.changes(&all, DEEPEST).redirects)
        };
        known.iter().filter(serves).filter(|e| !redirects(e)).map(listener).collect()
    }

    /// What gets a router's certificates: what its entry points say of TLS counts where it says nothing of it itself.
    fn resolver(&self, router: &Router) -> Option<String> {
        let is_its = |e: &&EntryPoint| router.entry_points.iter().any(|n| n.eq_ignore_ascii_case(&e.name));
        let of_entry_points = || self.startup.entry_points.iter().filter(is_its).find_map(|e| e.resolver.clone());
        if router.tls { router.resolver.clone() } else { of_entry_points() }
    }

    fn changes(&self, middlewares: &[String], left: usize) -> Changes {
        let mut changes = Changes::default();
        for name in middlewares.iter().take(64) {
            let Some(tree) = self.dynamic.middlewares.get(name) else { continue };
            for (kind, options) in tree.entries() {
                match kind.to_ascii_lowercase().as_str() {
                    "redirectscheme" => changes.redirects |= options.text("scheme").is_none_or(|s| s.eq_ignore_ascii_case("https")),
                    "stripprefix" => changes.strips.extend(options.texts("prefixes").into_iter().map(str::to_owned)),
                    "addprefix" => changes.adds = options.text("prefix").map(str::to_owned),
                    "stripprefixregex" | "replacepath" | "replacepathregex" => changes.unknown.push(name.clone()),
                    "chain" if left > 0 => {
                        let provider = name.rsplit_once('@').map_or("", |(_, p)| p);
                        let names = options.texts("middlewares").into_iter().map(|n| super::dynamic::qualified(n, provider));
                        changes.add(self.changes(&names.collect::<Vec<_>>(), left - 1));
                    }
                    _ => {}
                }
            }
        }
        changes
    }

    fn upstream(&self, router: &Router, note: &mut impl FnMut(String)) -> Upstream {
        let mut all: Vec<(&Servers, bool)> = Vec::new();
        self.collect(&router.service, false, DEEPEST, &mut all, note);
        let first = all.first().map(|(s, _)| *s);
        let transport = Transport::of(self, first, note);
        let mut targets = all.iter().flat_map(|(s, backup)| s.servers.iter().map(move |t| (t, *backup))).peekable();
        let scheme = targets.peek().map_or(Scheme::Http, |(t, _)| t.scheme);
        let host_header = match (first.is_none_or(|s| s.passes_host), targets.peek()) {
            (false, Some((t, _))) => HostHeader::Fixed(t.authority.clone()),
            _ => HostHeader::Client,
        };
        let mut servers = Vec::new();
        for (target, backup) in targets.take(SERVERS) {
            if target.scheme == scheme {
                servers.push(Server { backup, ..target.server.clone() });
            } else {
                note(format!("{} is spoken to by {} and others are not: it is left out", target.server, target.scheme));
            }
        }
        Upstream {
            name: Some(router.service.clone()),
            scheme,
            servers,
            lookup: first.map_or(Lookup::Given, |s| s.lookup),
            host_header,
            path_prefix: None,
            server_name: transport.server_name,
            verifies: transport.verifies,
            read_timeout: transport.read_timeout,
            largest_head: None,
        }
    }

    fn collect<'s>(&'s self, name: &str, backup: bool, left: usize, into: &mut Vec<(&'s Servers, bool)>, note: &mut impl FnMut(String)) {
        match self.dynamic.services.get(name).map(|s| &s.kind) {
            Some(Kind::Servers(servers)) => into.push((servers, backup)),
            Some(Kind::Services(first, then)) if left > 0 => {
                first.iter().take(64).for_each(|n| self.collect(n, backup, left - 1, into, note));
                then.iter().take(64).for_each(|n| self.collect(n, true, left - 1, into, note));
            }
            Some(Kind::Services(..) | Kind::Other) => note(format!("the service {name} is not understood")),
            None => note(format!("the service {name} does not exist")),
        }
    }
}

impl Changes {
    fn add(&mut self, other: Changes) {
        self.redirects |= other.redirects;
        self.strips.extend(other.strips);
        self.adds = other.adds.or(self.adds.take());
        self.unknown.extend(other.unknown);
    }

    /// The text in front of the rest of a path after a route's own path is taken away; none where the path is kept.
    fn prefix_for(&self, path: &str) -> Option<String> {
        let stripped = self.strips.iter().find_map(|s| path.strip_prefix(s.as_str()));
        match (stripped, &self.adds) {
            (None, None) => None,
            (stripped, adds) => Some(format!("{}{}", adds.as_deref().unwrap_or_default(), stripped.unwrap_or(path))),
        }
    }
}

/// How servers are spoken to.
struct Transport {
    server_name: Option<String>,
    verifies: bool,
    read_timeout: Option<Duration>,
}

impl Transport {
    fn of(told: &Told<'_>, servers: Option<&Servers>, note: &mut impl FnMut(String)) -> Transport {
        let tree: Option<&Tree> = match servers.and_then(|s| s.transport.as_ref()) {
            None => told.startup.transport.as_ref(),
            Some(name) => {
                let found = told.dynamic.transports.get(name);
                if found.is_none() {
                    note(format!("the transport {name} does not exist"));
                }
                found
            }
        };
        let text = |path: &str| tree.and_then(|t| t.text(path));
        Transport {
            server_name: text("servername").map(str::to_owned),
            verifies: tree.and_then(|t| t.truth("insecureskipverify")) != Some(true),
            read_timeout: text("forwardingtimeouts.responseheadertimeout")
                .and_then(|t| duration(t, Duration::from_secs(1)))
                .filter(|d| !d.is_zero()),
        }
    }
}

/// A listener at an entry point.
pub(super) fn listener(entry: &EntryPoint, tls: bool) -> Listener {
    Listener { name: Some(entry.name.clone()), address: entry.address, port: entry.port, tls }
}

fn route(router: &Router, listeners: &[Listener], upstream: &Upstream, changes: &Changes, of: Match) -> ConfiguredRoute {
    let (path, path_type) = of.path.unwrap_or_else(|| ("/".to_owned(), PathType::Prefix));
    let path_prefix = changes.prefix_for(&path);
    let place: Place = router.place.clone();
    let upstream = Upstream { path_prefix, ..upstream.clone() };
    ConfiguredRoute { place, listeners: listeners.to_vec(), host: of.host, path, path_type, resolver: None, upstream }
}

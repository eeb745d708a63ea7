//! HAProxy's backends: their servers, and what becomes of a request on the way.

use std::time::Duration;

use super::condition::{Acls, Claim};
use super::server::{ServerLine, servers};
use super::syntax::{Line, Section};
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::{duration, excerpt, size};
use crate::evidence::config::{HostHeader, Listener, Lookup, Upstream};

/// A section that sends requests to servers, with what holds in it by `defaults`.
#[derive(Clone, Copy)]
pub struct Proxy<'c> {
    /// The section.
    pub section: &'c Section,
    /// The `defaults` that hold, innermost first.
    pub defaults: &'c [&'c Section],
}

impl<'c> Proxy<'c> {
    /// The line that holds here: the last one of its own, else of its defaults.
    pub fn line(&self, words: &[&str]) -> Option<&'c Line> {
        let own = std::iter::once(self.section).chain(self.defaults.iter().copied());
        own.into_iter().find_map(|s| s.lines.iter().rfind(|l| l.is(words)))
    }

    /// Whether it speaks HTTP; the default is TCP.
    pub fn is_http(&self) -> bool {
        self.line(&["mode"]).is_some_and(|l| l.word(1) == "http")
    }

    /// Its lines that begin with these words.
    pub fn own(&self, words: &'c [&'c str]) -> impl Iterator<Item = &'c Line> {
        self.section.lines.iter().filter(move |l| l.is(words))
    }

    /// Its ACLs.
    pub fn acls(&self) -> Acls<'c> {
        let mut acls = Acls::new();
        for line in self.section.lines.iter().filter(|l| l.word(0) == "acl" && l.words.len() > 2) {
            acls.entry(line.word(1)).or_default().push(line);
        }
        acls
    }

    /// Whether it answers every request by itself.
    pub fn answers_itself(&self) -> bool {
        let answers = |l: &Line| match l.word(0) {
            "http-request" => matches!(l.word(1), "return" | "deny" | "redirect" | "reject" | "silent-drop" | "tarpit" | "use-service"),
            "redirect" => true,
            _ => false,
        };
        self.section.lines.iter().any(|l| answers(l) && l.condition().is_none())
    }
}

/// What `global` says for all backends.
#[derive(Clone, Copy, Debug)]
pub struct Global {
    /// Whether certificates of servers are checked where they do not say.
    verifies: bool,
    /// Bytes of a response's head that are taken at most, where it says so.
    largest_head: Option<usize>,
}

impl Global {
    /// Reads the sections that are called so.
    pub fn of(sections: &[Section]) -> Self {
        let lines = || sections.iter().filter(|s| s.kind() == "global").flat_map(|s| &s.lines);
        let last = |name: &str| lines().rfind(|l| l.word(0) == name).and_then(|l| size(l.word(1)));
        // A part of the buffer is kept free for what is written into heads: 1 KiB, but no more than half of it.
        let head = |buffer: usize| buffer.saturating_sub(last("tune.maxrewrite").unwrap_or(1024).min(buffer / 2));
        Global { verifies: !lines().any(|l| l.is(&["ssl-server-verify", "none"])), largest_head: last("tune.bufsize").map(head) }
    }
}

/// A backend as it was read.
#[derive(Clone, Debug)]
pub struct Backend {
    name: String,
    servers: Vec<ServerLine>,
    host_header: HostHeader,
    read_timeout: Option<Duration>,
    largest_head: Option<usize>,
    /// Rules that change the path.
    paths: Vec<Line>,
}

impl Backend {
    /// Reads a `backend` or `listen` section.
    pub fn of(proxy: Proxy<'_>, global: Global, notes: &mut Notes) -> Backend {
        let defaults: Vec<&Line> = (proxy.defaults.iter().rev().copied().chain([proxy.section]))
            .flat_map(|s| s.lines.iter().filter(|l| l.word(0) == "default-server"))
            .collect();
        let is_path = |l: &&Line| {
            l.word(0) == "http-request"
                && matches!(l.word(1), "set-path" | "set-pathq" | "set-uri" | "replace-path" | "replace-pathq" | "replace-uri")
        };
        let servers = servers(&proxy.section.lines, &defaults, global.verifies, notes);
        if let Some(other) = servers.iter().find(|s| s.scheme != servers[0].scheme) {
            let first = &servers[0].scheme;
            notes.add(&proxy.section.head.place, format!("some servers speak {first} and some {}; {first} is taken", other.scheme));
        }
        Backend {
            name: proxy.section.name().to_owned(),
            servers,
            host_header: host_header(proxy, notes),
            read_timeout: proxy.line(&["timeout", "server"]).and_then(|l| duration(l.word(2), Duration::from_millis(1))),
            largest_head: global.largest_head,
            paths: proxy.section.lines.iter().filter(is_path).cloned().collect(),
        }
    }

    /// The upstream for requests that come in at some listeners. Nothing where it has no servers.
    pub fn upstream(&self, claim: &Claim, listeners: &[Listener], host: Option<&HostHeader>, notes: &mut Notes) -> Option<Upstream> {
        let first = self.servers.first()?;
        let came_in_at = listeners.first().map(|l| l.port).filter(|port| listeners.iter().all(|l| l.port == *port));
        let servers: Vec<_> = self.servers.iter().filter_map(|s| s.server(came_in_at)).collect();
        let keeps_looking = self.servers.iter().all(|s| s.lookup == Lookup::WhileRunning);
        (!servers.is_empty()).then(|| Upstream {
            name: Some(self.name.clone()),
            scheme: first.scheme,
            servers,
            lookup: if keeps_looking { Lookup::WhileRunning } else { Lookup::AtStart },
            host_header: match (&self.host_header, host) {
                (HostHeader::Client, Some(host)) => host.clone(),
                (own, _) => own.clone(),
            },
            path_prefix: self.path_prefix(claim, notes),
            server_name: first.server_name.clone(),
            verifies: first.verifies,
            read_timeout: self.read_timeout,
            largest_head: self.largest_head,
        })
    }

    /// What stands in front of the rest of a path after the route's own.
    fn path_prefix(&self, claim: &Claim, notes: &mut Notes) -> Option<String> {
        let (line, path) = (self.paths.first()?, claim.path.as_ref().map_or("/", |(path, _)| path));
        let prefix = changed(line, path).filter(|_| self.paths.len() == 1 && line.condition().is_none());
        if prefix.is_none() {
            notes.add(&line.place, "what this makes of the path is not known; it is taken as kept");
        }
        prefix
    }
}

/// The Host header that a section sets for all requests.
pub fn host_header(proxy: Proxy<'_>, notes: &mut Notes) -> HostHeader {
    let sets = |l: &&Line| l.is(&["http-request", "set-header"]) && l.word(2).eq_ignore_ascii_case("host");
    let Some(line) = proxy.section.lines.iter().rfind(sets) else { return HostHeader::Client };
    let value = line.word(3);
    match value.trim() {
        "%[req.hdr(host)]" | "%[hdr(host)]" => HostHeader::Client,
        text if line.condition().is_none() && !text.is_empty() && !text.contains('%') => HostHeader::Fixed(text.to_owned()),
        _ => {
            notes.add(&line.place, format!("the Host header {} is not known; the client's is taken", excerpt(value)));
            HostHeader::Client
        }
    }
}

/// A route's path after `set-path /x%[path]`, `set-path %[path,regsub(^/api/,/)]` or `replace-path ^/api/(.*) /\1`.
fn changed(line: &Line, path: &str) -> Option<String> {
    let (first, second) = (line.word(2), line.word(3));
    match line.word(1) {
        "set-path" | "set-pathq" => {
            if let Some(front) = first.strip_suffix("%[path]").or_else(|| first.strip_suffix("%[pathq]")) {
                return is_plain(front).then(|| format!("{front}{path}"));
            }
            let arguments = first.strip_prefix("%[path,regsub(")?.strip_suffix(")]")?;
            let (pattern, with) = arguments.split_once(',').filter(|(_, with)| !with.contains(','))?;
            let literal = pattern.trim_matches('"').strip_prefix('^')?;
            replaced(literal, false, with.trim_matches('"'), path)
        }
        "replace-path" | "replace-pathq" => {
            let pattern = first.strip_prefix('^').unwrap_or(first);
            let literal = pattern.strip_suffix('$').unwrap_or(pattern);
            // With an optional slash in front of it, the rest is the second group where that slash is one.
            let (literal, takes_slash, rest) = match literal {
                l if l.ends_with("(/)?(.*)") => (l.strip_suffix("(/)?(.*)")?, true, "\\2"),
                l if l.ends_with("/?(.*)") => (l.strip_suffix("/?(.*)")?, true, "\\1"),
                l => (l.strip_suffix("(.*)")?, false, "\\1"),
            };
            replaced(literal, takes_slash, second.strip_suffix(rest)?, path)
        }
        _ => None,
    }
}

/// A path with a text at its beginning replaced.
fn replaced(literal: &str, takes_slash: bool, with: &str, path: &str) -> Option<String> {
    let left = path.strip_prefix(literal).filter(|_| is_plain(literal) && is_plain(with))?;
    let left = if takes_slash { left.strip_prefix('/').unwrap_or(left) } else { left };
    Some(format!("{with}{left}"))
}

/// Whether a text has nothing in it that patterns or formats give a meaning.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "/-_".contains(c))
}

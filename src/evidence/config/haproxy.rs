//! HAProxy's configuration: frontends with their rules, and backends with their servers. Pure.
//!
//! A server's name is looked up when HAProxy starts, and again while it runs only where the server has `resolvers`.

mod backend;
mod bind;
mod condition;
mod server;
mod syntax;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::backend::{Backend, Global, Proxy, host_header};
use self::condition::{Acls, Claim, claims};
use self::syntax::{Line, Section};
use super::arguments::Arguments;
use super::limits::{LISTENERS, ROUTES, cut};
use super::notes::Notes;
use super::text::{absolute, excerpt, folder};
use super::{Configuration, ConfiguredRoute, Files, HostHeader, Listener};
use crate::fact::Fact;
use crate::snapshot::objects::PathType;
use crate::snapshot::objects::docker::Container;

/// Names of its program.
pub const PROGRAMS: &[&str] = &["haproxy", "haproxy-systemd-wrapper"];
/// Where images keep its file.
const MAIN: &[&str] = &["/usr/local/etc/haproxy/haproxy.cfg", "/etc/haproxy/haproxy.cfg", "/opt/bitnami/haproxy/conf/haproxy.cfg"];
/// Deepest chain of `defaults … from …`.
const DEFAULTS: usize = 8;

/// What HAProxy is told. Absent where there are no files of it; failed where its file is not among them or has no sections.
pub fn read(files: &Files, container: &Container, _containers: &[Arc<Container>]) -> Fact<Configuration> {
    let paths = match main_files(files, container) {
        Fact::Known(paths) => paths,
        Fact::Failed(why) => return Fact::Failed(why),
        Fact::Absent | Fact::NotAsked => return Fact::Absent,
    };
    let mut notes = Notes::default();
    let sections = syntax::read(files, &paths, container, &mut notes);
    if sections.is_empty() {
        return Fact::Failed(format!("HAProxy's file {} has no sections", excerpt(&paths[0])));
    }
    Fact::Known(Walk::over(files, folder(&paths[0]), &sections, notes))
}

/// The files that the command names, in their order, else the one of common images.
fn main_files(files: &Files, container: &Container) -> Fact<Vec<String>> {
    let arguments = Arguments::of(container, PROGRAMS);
    let base = arguments.value(&["-C"]).unwrap_or("/");
    let named: Vec<String> = arguments.values(&["-f"]).map(|file| absolute(base, file)).collect();
    let mut paths = Vec::new();
    for name in &named {
        if files.contains_key(name) {
            paths.push(name.clone());
            continue;
        }
        let within = files.keys().filter(|f| folder(f) == name && f.ends_with(".cfg"));
        let before = paths.len();
        paths.extend(within.cloned());
        if paths.len() == before {
            return Fact::Failed(format!("HAProxy's file {} was not found", excerpt(name)));
        }
    }
    if !named.is_empty() {
        return Fact::Known(paths);
    }
    match MAIN.iter().find(|m| files.contains_key(**m)) {
        Some(main) => Fact::Known(vec![(*main).to_owned()]),
        None if files.is_empty() => Fact::Absent,
        None => Fact::Failed("HAProxy's file haproxy.cfg was not found".into()),
    }
}

/// A walk over the sections that take requests.
struct Walk<'c> {
    files: &'c Files,
    folder: &'c str,
    backends: BTreeMap<&'c str, Option<Backend>>,
    notes: Notes,
    routes: Vec<ConfiguredRoute>,
    listeners: Vec<Listener>,
}

/// What a walk knows of the section that it is in.
struct Within<'c> {
    proxy: Proxy<'c>,
    /// The listeners whose requests are passed on.
    listeners: Vec<Listener>,
    /// The Host header that the section sets.
    host: Option<HostHeader>,
    acls: Acls<'c>,
}

impl<'c> Walk<'c> {
    fn over(files: &'c Files, folder: &'c str, sections: &'c [Section], notes: Notes) -> Configuration {
        let mut walk = Walk { files, folder, backends: BTreeMap::new(), notes, routes: Vec::new(), listeners: Vec::new() };
        let defaults: Vec<Vec<&Section>> = sections.iter().map(|s| defaults_of(sections, s)).collect();
        let global = Global::of(sections);
        let proxies = || sections.iter().zip(&defaults).map(|(section, defaults)| Proxy { section, defaults });
        for proxy in proxies().filter(|p| matches!(p.section.kind(), "backend" | "listen")) {
            // One that answers by itself is known, and passes nothing on.
            let backend = (!proxy.answers_itself()).then(|| Backend::of(proxy, global, &mut walk.notes));
            walk.backends.insert(proxy.section.name(), backend);
        }
        for proxy in proxies().filter(|p| matches!(p.section.kind(), "frontend" | "listen")) {
            walk.frontend(proxy);
        }
        walk.listeners.sort();
        walk.listeners.dedup();
        Configuration { listeners: walk.listeners, routes: walk.routes, notes: walk.notes.into_vec(), ..Configuration::default() }
    }

    fn frontend(&mut self, proxy: Proxy<'c>) {
        if !proxy.is_http() {
            self.notes.add(&proxy.section.head.place, "passes TCP on, which need not be HTTP, and is not followed");
            return;
        }
        let mut listeners: Vec<Listener> = proxy.own(&["bind"]).flat_map(|bind| bind::listeners(bind, &mut self.notes)).collect();
        listeners.sort();
        listeners.dedup();
        cut(&mut listeners, LISTENERS, "listeners", &proxy.section.head.place, &mut self.notes);
        self.listeners.extend(listeners.iter().cloned());
        if proxy.answers_itself() {
            return;
        }
        let acls = proxy.acls();
        let plain_is_redirected = redirects_to_tls(proxy, &acls);
        listeners.retain(|l| l.tls || !plain_is_redirected);
        let host = Some(host_header(proxy, &mut self.notes)).filter(|h| *h != HostHeader::Client);
        let within = Within { proxy, listeners, host, acls };
        for rule in proxy.own(&["use_backend"]) {
            self.rule(rule, &within);
            if rule.condition().is_none() {
                return;
            }
        }
        match proxy.line(&["default_backend"]) {
            Some(rule) => self.leads(rule.word(1), &[Claim::default()], rule, &within),
            None if proxy.section.kind() == "listen" => {
                self.leads(proxy.section.name(), &[Claim::default()], &proxy.section.head, &within);
            }
            None => {}
        }
    }

    fn rule(&mut self, rule: &Line, within: &Within<'_>) {
        let claims = match rule.condition() {
            Some(at) => claims(&rule.words[at..], &within.acls),
            None => Some(vec![Claim::default()]),
        };
        let Some(claims) = claims else {
            let text = excerpt(&rule.words[rule.condition().unwrap_or_default()..].join(" "));
            self.notes.add(&rule.place, format!("the condition `{text}` is not understood; its requests are not followed"));
            return;
        };
        match rule.word(1) {
            dynamic if dynamic.contains("%[") => self.mapped(dynamic, &claims, rule, within),
            name => self.leads(name, &claims, rule, within),
        }
    }

    /// Follows `use_backend %[req.hdr(host),lower,map(FILE,DEFAULT)]` by the file.
    fn mapped(&mut self, sample: &str, claims: &[Claim], rule: &Line, within: &Within<'_>) {
        let Some((file, default)) = map_by_host(sample) else {
            self.notes.add(&rule.place, format!("the backend {} is not known", excerpt(sample)));
            return;
        };
        let path = absolute(self.folder, file);
        let Some(text) = self.files.get(&path) else {
            self.notes.add(&rule.place, format!("the map {} was not read", excerpt(&path)));
            return;
        };
        let entry = |line: &'c str| line.trim_start().split_once(char::is_whitespace).filter(|(key, _)| !key.starts_with('#'));
        for (key, backend) in text.lines().filter_map(entry).take(ROUTES) {
            let claims: Vec<Claim> = claims.iter().filter_map(|c| c.for_host(key)).collect();
            self.leads(backend.trim(), &claims, rule, within);
        }
        if let Some(default) = default {
            self.leads(default, claims, rule, within);
        }
    }

    /// Adds the routes of some requests to a backend.
    fn leads(&mut self, name: &str, claims: &[Claim], rule: &Line, within: &Within<'_>) {
        let backend = match self.backends.get(name) {
            Some(Some(backend)) => backend,
            Some(None) => return,
            None => return self.notes.add(&rule.place, format!("there is no backend {}", excerpt(name))),
        };
        for claim in claims {
            let listeners: Vec<Listener> = within.listeners.iter().filter(|l| claim.comes_in_at(l)).cloned().collect();
            if listeners.is_empty() && !within.listeners.is_empty() {
                continue;
            }
            if self.routes.len() >= ROUTES {
                return self.notes.add(&rule.place, "there are more routes than are followed");
            }
            let Some(upstream) = backend.upstream(claim, &listeners, within.host.as_ref(), &mut self.notes) else {
                let serves_itself = within.proxy.section.lines.iter().any(|l| matches!(l.word(0), "stats" | "monitor-uri"));
                if !serves_itself {
                    self.notes.add(&rule.place, format!("{} has no server that is known", excerpt(name)));
                }
                return;
            };
            let (path, path_type) = claim.path.clone().unwrap_or_else(|| ("/".into(), PathType::Prefix));
            let (place, host) = (rule.place.clone(), claim.host.clone());
            self.routes.push(ConfiguredRoute { place, listeners, host, path, path_type, resolver: None, upstream });
        }
    }
}

/// The `defaults` of a section, innermost first.
fn defaults_of<'c>(sections: &'c [Section], section: &'c Section) -> Vec<&'c Section> {
    std::iter::successors(section.defaults, |at| sections[*at].defaults).take(DEFAULTS).map(|at| &sections[at]).collect()
}

/// Whether requests without TLS are sent to HTTPS.
fn redirects_to_tls(proxy: Proxy<'_>, acls: &Acls<'_>) -> bool {
    let mut lines = proxy.section.lines.iter();
    lines.any(|l| {
        let redirect = l.words.iter().take(2).position(|w| w == "redirect");
        let is_to_tls = redirect.is_some_and(|at| l.word(at + 1) == "scheme" && l.word(at + 2) == "https");
        let Some(at) = l.condition().filter(|_| is_to_tls) else { return false };
        claims(&l.words[at..], acls).is_some_and(|c| c.iter().any(Claim::is_all_without_tls))
    })
}

/// The file and the default of a map that is asked for the host.
fn map_by_host(sample: &str) -> Option<(&str, Option<&str>)> {
    let inner = sample.strip_prefix("%[")?.strip_suffix(")]")?;
    let (asked, map) = ["map(", "map_str(", "map_dom("].iter().find_map(|map| inner.split_once(&format!(",{map}") as &str))?;
    let is_host = ["req.hdr(host)", "hdr(host)", "req.fhdr(host)"].iter().any(|h| asked.to_ascii_lowercase().starts_with(h));
    let (file, default) = map.split_once(',').map_or((map, None), |(file, default)| (file, Some(default)));
    is_host.then(|| (file.trim(), default.map(str::trim)))
}

//! nginx' configuration: `http` with its servers, locations and upstreams. Pure.
//!
//! A name in `proxy_pass` or `upstream` is looked up when nginx starts; one in a variable, or with `resolve`, while it runs.

mod path;
mod scope;
mod server;
mod syntax;
#[cfg(test)]
mod tests;
mod upstream;

use std::sync::Arc;

use self::path::{Location, is_everything, is_redirect};
use self::scope::Scope;
use self::server::{Server, servers};
use self::upstream::{Groups, Pass, groups};
use super::arguments::Arguments;
use super::directive::Directive;
use super::limits::ROUTES;
use super::notes::Notes;
use super::text::{absolute, excerpt, folder};
use super::{Configuration, ConfiguredRoute, Files, Listener, Place};
use crate::fact::Fact;
use crate::snapshot::objects::docker::Container;

/// Names of its program.
pub const PROGRAMS: &[&str] = &["nginx", "openresty", "nginx-debug"];
/// Where builds and images keep the main file.
const MAIN: &[&str] = &[
    "/etc/nginx/nginx.conf",
    "/usr/local/openresty/nginx/conf/nginx.conf",
    "/usr/local/nginx/conf/nginx.conf",
    "/opt/bitnami/nginx/conf/nginx.conf",
];
/// Most locations that are looked into.
const LOCATIONS: usize = 10_000;
/// Modules that pass requests on in something else than HTTP.
const OTHER_PASSES: &[&str] = &["fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass"];

/// What nginx is told. Absent where there are no files of it; failed where its main file is not among them or says nothing.
pub fn read(files: &Files, container: &Container, _containers: &[Arc<Container>]) -> Fact<Configuration> {
    let main = match main_file(files, container) {
        Fact::Known(main) => main,
        Fact::Failed(why) => return Fact::Failed(why),
        Fact::Absent | Fact::NotAsked => return Fact::Absent,
    };
    let mut notes = Notes::default();
    let directives = syntax::read(files, &main, folder(&main), &mut notes);
    let block = |name: &str| directives.iter().find(|d| d.name == name && d.block.is_some());
    if let Some(stream) = block("stream").filter(|s| !s.inner().is_empty()) {
        notes.add(&stream.place, "what `stream` passes on is not HTTP and not followed");
    }
    let Some(http) = block("http") else {
        let main = Place { file: main, line: 0 };
        return match (notes.first(), block("stream")) {
            (Some(note), None) => Fact::Failed(format!("nginx' configuration could not be read: {}: {}", note.place, note.text)),
            _ => {
                notes.add(&main, "there is no `http` block");
                Fact::Known(Configuration { notes: notes.into_vec(), ..Configuration::default() })
            }
        };
    };
    Fact::Known(Walk::over(http, &container.hostname, notes))
}

/// The main file: what the command names, else what is where images keep it.
fn main_file(files: &Files, container: &Container) -> Fact<String> {
    let arguments = Arguments::of(container, PROGRAMS);
    if let Some(named) = arguments.value(&["-c"]) {
        let prefix = arguments.value(&["-p"]).unwrap_or("/etc/nginx");
        let path = absolute(prefix, named);
        return if files.contains_key(&path) {
            Fact::Known(path)
        } else {
            Fact::Failed(format!("nginx' file {} was not found", excerpt(&path)))
        };
    }
    let below_prefix = arguments.value(&["-p"]).map(|p| absolute(p, "conf/nginx.conf"));
    let mut candidates = below_prefix.iter().map(String::as_str).chain(MAIN.iter().copied());
    match candidates.find(|c| files.contains_key(*c)) {
        Some(path) => Fact::Known(path.to_owned()),
        None if files.is_empty() => Fact::Absent,
        None => Fact::Failed("nginx' file nginx.conf was not found".into()),
    }
}

/// The hosts that a server's routes are for, each with the listeners that they come in at.
type Claims = Vec<(Option<String>, Vec<Listener>)>;

/// A walk over the servers and their locations.
struct Walk {
    groups: Groups,
    notes: Notes,
    routes: Vec<ConfiguredRoute>,
    locations: usize,
}

/// What a walk knows of the server that it is in.
struct Within<'c> {
    server: &'c Server<'c>,
    claims: Claims,
    scope: &'c Scope<'c>,
}

impl Walk {
    fn over(http: &Directive, hostname: &str, mut notes: Notes) -> Configuration {
        let mut walk = Walk { groups: groups(http.inner(), &mut notes), notes, routes: Vec::new(), locations: 0 };
        let scope = Scope::new(None, http);
        let servers = servers(http.inner(), hostname, &mut walk.notes);
        for server in &servers {
            walk.server(server, &scope);
        }
        let mut listeners: Vec<Listener> = servers.into_iter().flat_map(|s| s.listeners).collect();
        listeners.sort();
        listeners.dedup();
        Configuration { listeners, routes: walk.routes, notes: walk.notes.into_vec(), ..Configuration::default() }
    }

    fn server(&mut self, server: &Server<'_>, http: &Scope<'_>) {
        let scope = Scope::new(Some(http), server.block);
        if answers_itself(&scope) {
            return;
        }
        let within = Within { server, claims: self.claims(server), scope: &scope };
        if !scope.locations().any(|d| Location::of(d) == Some(Location::root())) {
            self.refers(&scope, &Location::root(), &within);
        }
        self.inner(&scope, &within);
    }

    /// Which hosts reach a server. One without names gets what no other one is for, and only where it is the default.
    fn claims(&mut self, server: &Server<'_>) -> Claims {
        if !server.hosts.is_empty() {
            return server.hosts.iter().map(|h| (Some(h.clone()), server.listeners.clone())).collect();
        }
        if server.default_at.is_empty() && !server.listeners.is_empty() {
            self.notes.add(&server.block.place, "no known host reaches this server: another one is the default of its port");
            return Vec::new();
        }
        vec![(None, server.default_at.clone())]
    }

    /// The locations within a level, and those within them.
    fn inner(&mut self, scope: &Scope<'_>, within: &Within<'_>) {
        for block in scope.locations() {
            let Some(location) = Location::of(block) else { continue };
            self.locations += 1;
            if self.locations > LOCATIONS {
                self.notes.add(&within.server.block.place, "there are more locations than are followed");
                return;
            }
            let inner = Scope::new(Some(scope), block);
            self.location(&location, &inner, within);
            self.inner(&inner, within);
        }
    }

    fn location(&mut self, location: &Location, scope: &Scope<'_>, within: &Within<'_>) {
        for inner in scope.directives().filter(|d| d.name == "if" || d.name == "limit_except") {
            if let Some(pass) = inner.inner().iter().find(|d| is_pass(d)) {
                self.notes.add(&pass.place, format!("what is passed on only under `{}` is not followed", inner.name));
            }
        }
        if answers_itself(scope) {
            return;
        }
        match scope.directives().find(|d| is_pass(d)) {
            Some(pass) if scope.own("internal").is_some() => {
                self.notes.add(&pass.place, "clients cannot ask for an internal location; its upstream is not followed");
            }
            Some(pass) => self.pass(pass, location, scope, within),
            None => self.refers(scope, location, within),
        }
    }

    /// Follows `try_files … @name` and `error_page … @name` to a location without a path of its own.
    fn refers(&mut self, scope: &Scope<'_>, location: &Location, within: &Within<'_>) {
        let Some(name) = scope.directives().find_map(referred) else { return };
        let Some(block) = within.scope.locations().find(|d| d.arg() == name) else { return };
        let inner = Scope::new(Some(within.scope), block);
        if let Some(pass) = inner.directives().find(|d| is_pass(d)).filter(|_| !answers_itself(&inner)) {
            self.pass(pass, location, &inner, within);
        }
    }

    fn pass(&mut self, directive: &Directive, location: &Location, scope: &Scope<'_>, within: &Within<'_>) {
        if OTHER_PASSES.contains(&directive.name.as_str()) {
            self.notes.add(&directive.place, format!("`{}` does not speak HTTP and is not followed", directive.name));
            return;
        }
        let pass = Pass { directive, scope, location, server_name: &within.server.name };
        let Some(upstream) = pass.upstream(&self.groups, &mut self.notes) else { return };
        for (host, listeners) in &within.claims {
            if self.routes.len() >= ROUTES {
                self.notes.add(&directive.place, "there are more routes than are followed");
                return;
            }
            self.routes.push(ConfiguredRoute {
                place: directive.place.clone(),
                listeners: listeners.clone(),
                host: host.clone(),
                path: location.path.clone(),
                path_type: location.path_type,
                resolver: None,
                upstream: upstream.clone(),
            });
        }
    }
}

/// The named location that gets what is not a file here. What is there for other errors is no route.
fn referred(directive: &Directive) -> Option<&str> {
    let is_missing_file = |arg: &String| matches!(arg.as_str(), "403" | "404" | "405") || arg.starts_with('=');
    let (name, before) = directive.args.split_last()?;
    let refers = match directive.name.as_str() {
        "try_files" => true,
        "error_page" => before.iter().all(is_missing_file),
        _ => false,
    };
    (refers && name.starts_with('@')).then_some(name)
}

fn is_pass(directive: &Directive) -> bool {
    matches!(directive.name.as_str(), "proxy_pass" | "grpc_pass") || OTHER_PASSES.contains(&directive.name.as_str())
}

/// Whether nginx answers by itself whatever is asked here.
fn answers_itself(scope: &Scope<'_>) -> bool {
    let redirects = |d: &Directive| d.name == "rewrite" && is_redirect(d) && is_everything(d.arg());
    scope.directives().any(|d| d.name == "return" || redirects(d))
}

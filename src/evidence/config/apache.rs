//! Apache httpd's configuration: its virtual hosts, and what they pass on. Pure.
//!
//! Apache starts without knowing its upstreams: it looks a name up when a request first needs it. A worker keeps what it found until it ends,
//! unless `disablereuse=on` or `addressttl=` say otherwise; but workers come and go, so that names count as looked up while it runs.
//!
//! Without `SSLProxyVerify` an upstream's certificate may come from anybody, yet its name and date are checked where they are not told not to be.

mod host;
mod rule;
mod syntax;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use self::host::{Host, hosts, listeners};
use self::rule::{Rule, redirects_everything, rules};
use self::syntax::Reader;
use self::target::{Balancers, Settings, Within, settings};
use super::arguments::Arguments;
use super::directive::Directive;
use super::limits::ROUTES;
use super::notes::Notes;
use super::text::{absolute, excerpt};
use super::{Configuration, ConfiguredRoute, Files};
use crate::fact::Fact;
use crate::snapshot::objects::PathType;
use crate::snapshot::objects::docker::Container;

/// Names of its program.
pub const PROGRAMS: &[&str] = &["httpd", "apache2", "apache2ctl", "apachectl", "httpd-foreground", "apache2-foreground"];
/// Where images keep the main file, and what is ServerRoot there.
const MAIN: &[(&str, &str)] = &[
    ("/usr/local/apache2/conf/httpd.conf", "/usr/local/apache2"),
    ("/etc/apache2/apache2.conf", "/etc/apache2"),
    ("/etc/apache2/httpd.conf", "/var/www"),
    ("/etc/httpd/conf/httpd.conf", "/etc/httpd"),
    ("/opt/bitnami/apache/conf/httpd.conf", "/opt/bitnami/apache"),
    ("/opt/bitnami/apache2/conf/httpd.conf", "/opt/bitnami/apache2"),
];
/// Most rules that are looked at, counting those of the main server for each virtual host.
const RULES: usize = 50_000;
/// Longest path of a rule that is followed, in bytes.
const PATH: usize = 2_000;

/// What Apache is told. Absent where there are no files of it; failed where its main file is not among them or says nothing.
pub fn read(files: &Files, container: &Container, _containers: &[Arc<Container>]) -> Fact<Configuration> {
    let arguments = Arguments::of(container, PROGRAMS);
    let (main, root) = match main_file(files, &arguments) {
        Fact::Known(found) => found,
        Fact::Failed(why) => return Fact::Failed(why),
        Fact::Absent | Fact::NotAsked => return Fact::Absent,
    };
    let defined: BTreeSet<String> = arguments.values(&["-D"]).map(str::to_owned).collect();
    let mut reader = Reader::new(files, &root, &container.environment, defined);
    let directives = reader.file(&main, 0);
    if directives.is_empty() {
        let why = reader.notes.first().map_or_else(|| format!("{} says nothing", excerpt(&main)), ToString::to_string);
        return Fact::Failed(format!("Apache's configuration could not be read: {why}"));
    }
    let has_http = (!reader.modules.is_empty()).then(|| reader.modules.contains("proxy_http_module"));
    Fact::Known(Walk { notes: reader.notes, routes: Vec::new(), rules: 0, has_http }.over(&directives))
}

/// The main file and ServerRoot: those that the command names, else those of common images.
fn main_file(files: &Files, arguments: &Arguments) -> Fact<(String, String)> {
    let root = arguments.value(&["-d"]);
    if let Some(named) = arguments.value(&["-f"]) {
        let roots = root.into_iter().chain(MAIN.iter().map(|(_, root)| *root));
        let found = roots.map(|root| (absolute(root, named), root.to_owned())).find(|(path, _)| files.contains_key(path));
        return found.map_or_else(|| Fact::Failed(format!("Apache's file {} was not found", excerpt(named))), Fact::Known);
    }
    let below_root = root.map(|root| (absolute(root, "conf/httpd.conf"), root.to_owned()));
    let usual = MAIN.iter().map(|(path, root)| ((*path).to_owned(), (*root).to_owned()));
    match below_root.into_iter().chain(usual).find(|(path, _)| files.contains_key(path)) {
        Some(found) => Fact::Known(found),
        None if files.is_empty() => Fact::Absent,
        None => Fact::Failed("Apache's file httpd.conf or apache2.conf was not found".into()),
    }
}

/// A walk over the virtual hosts.
struct Walk {
    notes: Notes,
    routes: Vec<ConfiguredRoute>,
    rules: usize,
    has_http: Option<bool>,
}

/// What the main server hands down to virtual hosts.
struct Main<'c> {
    rules: Vec<Rule<'c>>,
    settings: Settings<'c>,
    balancers: Balancers<'c>,
    directives: &'c [Directive],
}

impl Walk {
    fn over(mut self, directives: &[Directive]) -> Configuration {
        let mut listeners = listeners(directives, &mut self.notes);
        let hosts = hosts(directives, &mut listeners, &mut self.notes);
        let main = Main {
            rules: rules(directives, &mut self.notes),
            settings: settings(directives),
            balancers: Balancers::of(directives),
            directives,
        };
        self.note_others(&main);
        for host in &hosts {
            self.host(host, &main);
        }
        Configuration { listeners, routes: self.routes, notes: self.notes.into_vec(), ..Configuration::default() }
    }

    /// Notes what changes where requests go in ways that are not followed.
    fn note_others(&mut self, main: &Main<'_>) {
        if let Some(remote) = main.settings.get("proxyremote") {
            self.notes.add(&remote.place, "requests may go through another proxy, which is not followed");
        }
    }

    fn host(&mut self, host: &Host<'_>, main: &Main<'_>) {
        let is_main = host.directives.is_none();
        let is_plain = host.claims.iter().flat_map(|(_, listeners)| listeners).all(|l| !l.tls);
        if self.routes.len() >= ROUTES || redirects_everything(host.directives.unwrap_or(main.directives), is_plain) {
            return;
        }
        let directives = host.directives.unwrap_or_default();
        let own_settings = settings(directives);
        let balancers = Balancers::of(directives);
        let within =
            Within { settings: [&own_settings, &main.settings], balancers: [&balancers, &main.balancers], has_http: self.has_http };
        let own = rules(directives, &mut self.notes);
        // Rewriting is not handed down.
        let inherited = main.rules.iter().filter(|r| is_main || r.directive.name != "rewriterule");
        let mut before = Before::default();
        for rule in own.iter().chain(inherited) {
            self.rules += 1;
            if self.rules > RULES {
                return self.notes.add(&rule.directive.place, "there are more rules than are followed");
            }
            self.rule(rule, host, &within, &mut before);
        }
    }

    fn rule(&mut self, rule: &Rule<'_>, host: &Host<'_>, within: &Within<'_>, before: &mut Before) {
        let place = &rule.directive.place;
        if rule.path.len() > PATH || (rule.path_type != PathType::ImplementationSpecific && !rule.path.starts_with('/')) {
            self.notes.add(place, format!("the path {} is not understood", excerpt(&rule.path)));
            return;
        }
        if let Some(earlier) = before.takes(rule) {
            if rule.url.is_some() {
                self.notes.add(place, format!("an earlier rule for {} gets its requests", excerpt(&earlier)));
            }
            return;
        }
        before.add(rule);
        let Some(upstream) = within.upstream(rule, &mut self.notes) else { return };
        for (name, listeners) in &host.claims {
            if self.routes.len() >= ROUTES {
                return self.notes.add(place, "there are more routes than are followed");
            }
            self.routes.push(ConfiguredRoute {
                place: place.clone(),
                listeners: listeners.clone(),
                host: name.clone(),
                path: rule.path.clone(),
                path_type: rule.path_type,
                resolver: None,
                upstream: upstream.clone(),
            });
        }
    }
}

/// The paths of earlier rules of the same server: the first one that fits gets a request.
#[derive(Default)]
struct Before(BTreeSet<String>);

impl Before {
    /// The earlier path that all requests of a rule have. What stands in a `<Location>` is asked before all others.
    fn takes(&self, rule: &Rule<'_>) -> Option<String> {
        if !rule.inner.is_empty() || rule.path_type != PathType::Prefix {
            return None;
        }
        let path = rule.path.as_str();
        let ends = path.match_indices('/').flat_map(|(at, _)| [at, at + 1]).chain([path.len()]);
        ends.map(|end| &path[..end]).find(|earlier| self.0.contains(*earlier)).map(str::to_owned)
    }

    fn add(&mut self, rule: &Rule<'_>) {
        if rule.inner.is_empty() && rule.path_type == PathType::Prefix {
            self.0.insert(rule.path.clone());
        }
    }
}

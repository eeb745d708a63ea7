//! Caddy's own configuration, JSON.

use std::time::Duration;

use super::matcher;
use super::proxy::Proxy;
use super::scope::Scope;
use crate::evidence::config::condition::Condition;
use crate::evidence::config::limits::ROUTES;
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::{bound, duration};
use crate::evidence::config::tree::Tree;
use crate::evidence::config::{Configuration, ConfiguredRoute, Listener};

/// How deep routes may lie in each other.
const DEEPEST: usize = 32;

/// Reads a configuration. `image` is the container's.
pub(super) fn read(tree: &Tree, image: &str, notes: &mut Notes) -> Configuration {
    let http = tree.get("apps.http");
    let port = |name: &str, default: u16| http.and_then(|h| h.text(name)?.parse().ok()).unwrap_or(default);
    let (plain, https) = (port("http_port", 80), port("https_port", 443));
    let servers = http.and_then(|h| h.get("servers")).map(Tree::entries).unwrap_or_default();
    let mut configuration = Configuration::default();
    for (name, server) in servers {
        let routes = server.items_of("routes");
        let automatic = server.truth("automatic_https.disable") != Some(true);
        let named = automatic && names_hosts(&routes);
        let addresses = server.items_of("listen").into_iter().filter_map(|a| {
            let found = a.as_text().and_then(listener);
            if found.is_none() {
                notes.add(&a.place, "the address is not understood");
            }
            found
        });
        let mut listeners: Vec<Listener> = addresses.collect();
        let only_plain = listeners.iter().all(|l| l.port == plain);
        let only_https = automatic && listeners.iter().all(|l| l.port == https);
        let tls = server.get("tls_connection_policies").is_some_and(|p| !p.items().is_empty()) || only_https || named && !only_plain;
        listeners.iter_mut().for_each(|l| {
            l.tls = tls && l.port != plain;
            l.name = Some(name.clone());
        });
        let mut walk = Walk { image, notes, routes: Vec::new() };
        walk.routes(&routes, &Scope { listeners: listeners.clone(), ..Scope::default() }, 0);
        configuration.routes.extend(walk.routes);
        let redirects = named && !only_plain && server.truth("automatic_https.disable_redirects") != Some(true);
        if redirects {
            listeners.push(Listener::on(plain, false));
        }
        configuration.listeners.extend(listeners);
    }
    let taken: Vec<u16> = configuration.listeners.iter().filter(|l| l.name.is_some()).map(|l| l.port).collect();
    configuration.listeners.retain(|l| l.name.is_some() || !taken.contains(&l.port));
    configuration.listeners.sort();
    configuration.listeners.dedup();
    configuration
}

fn names_hosts(routes: &[&Tree]) -> bool {
    routes.iter().flat_map(|r| r.items_of("match")).any(|m| !m.items_of("host").is_empty())
}

fn listener(text: &str) -> Option<Listener> {
    let text = text.strip_prefix("tcp/").unwrap_or(text);
    let (host, port) = text.rsplit_once(':')?;
    Some(Listener { address: bound(host)?, ..Listener::on(port.parse().ok().filter(|p| *p != 0)?, false) })
}

struct Walk<'a> {
    image: &'a str,
    notes: &'a mut Notes,
    routes: Vec<ConfiguredRoute>,
}

impl Walk<'_> {
    fn routes(&mut self, routes: &[&Tree], scope: &Scope, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        for route in routes {
            if self.routes.len() >= ROUTES {
                return;
            }
            let sets = route.items_of("match");
            let any = (!sets.is_empty()).then(|| Condition::Any(sets.iter().map(|s| set(s, 0)).collect()));
            let mut inner = scope.under(any);
            for handler in route.items_of("handle") {
                self.handler(handler, &mut inner, depth);
            }
        }
    }

    fn handler(&mut self, handler: &Tree, scope: &mut Scope, depth: usize) {
        match handler.text("handler") {
            Some("subroute") => self.routes(&handler.items_of("routes"), scope, depth + 1),
            Some("rewrite") => {
                if let Some(prefix) = handler.text("strip_path_prefix") {
                    scope.strip(prefix);
                }
                let unknown = ["strip_path_suffix", "uri_substring", "path_regexp"].iter().any(|name| handler.get(name).is_some());
                if unknown || handler.text("uri").is_some_and(|to| !scope.rewrite(to)) {
                    self.notes.add(&handler.place, "what path it makes is not known");
                }
            }
            Some("reverse_proxy") => self.reverse_proxy(handler, scope),
            _ => {}
        }
    }

    fn reverse_proxy(&mut self, handler: &Tree, scope: &Scope) {
        let place = &handler.place;
        let mut proxy = Proxy::default();
        for dial in handler.items_of("upstreams").into_iter().filter_map(|u| u.get("dial")) {
            proxy.dial(dial.as_text().unwrap_or_default(), &dial.place, self.notes);
        }
        if handler.get("dynamic_upstreams").is_some() {
            self.notes.add(place, "servers that are looked up by themselves are not known");
        }
        let protocol = handler.text("transport.protocol").unwrap_or("http");
        if protocol != "http" {
            return self.notes.add(place, format!("servers that are spoken to by {protocol} are not looked at"));
        }
        proxy.tls |= handler.get("transport.tls").is_some();
        proxy.insecure = handler.truth("transport.tls.insecure_skip_verify") == Some(true);
        proxy.server_name = handler.text("transport.tls.server_name").map(str::to_owned);
        proxy.h2c |= handler.texts("transport.versions").contains(&"h2c");
        let timeout = |name: &str| handler.text(name).and_then(|t| duration(t, Duration::from_nanos(1)));
        proxy.read_timeout = timeout("transport.response_header_timeout").or_else(|| timeout("transport.read_timeout"));
        proxy.host = handler.texts("headers.request.set.Host").first().map(|h| (*h).to_owned());
        proxy.strips = handler.text("rewrite.strip_path_prefix").map(str::to_owned).into_iter().collect();
        proxy.rewrite = handler.text("rewrite.uri").map(str::to_owned);
        let upstream = proxy.upstream(self.image, place, self.notes);
        self.routes.extend(scope.routes(&proxy, place, &upstream, self.notes));
    }
}

/// A set of matchers, which must all be met.
fn set(tree: &Tree, depth: usize) -> Condition {
    let each = tree.entries().iter().map(|(kind, value)| {
        let texts: Vec<&str> = value.items().into_iter().filter_map(Tree::as_text).collect();
        match kind.as_str() {
            "host" => Condition::Any(texts.into_iter().map(matcher::host).collect()),
            "path" => Condition::Any(texts.into_iter().map(matcher::path).collect()),
            "method" => Condition::Any(texts.into_iter().map(|m| Condition::Method(m.to_owned())).collect()),
            "path_regexp" => value.text("pattern").map_or_else(|| unknown(kind), |p| Condition::Pattern(p.to_owned())),
            "header" | "header_regexp" | "query" => Condition::Special(format!("a {kind}")),
            "not" if depth < DEEPEST => {
                Condition::Not(Box::new(Condition::Any(value.items().into_iter().map(|s| set(s, depth + 1)).collect())))
            }
            _ => unknown(kind),
        }
    });
    Condition::All(each.collect())
}

fn unknown(kind: &str) -> Condition {
    Condition::Unknown(format!("the matcher {kind}"))
}

//! Routes of a Caddyfile's directives.

use std::time::Duration;

use super::lexer::Token;
use super::matcher::{self, Named};
use super::parse::{self, Caddyfile, Directive, Site};
use super::proxy::Proxy;
use super::scope::Scope;
use super::site::{Address, Options, addresses, all_listeners};
use crate::evidence::config::limits::ROUTES;
use crate::evidence::config::notes::Notes;
use crate::evidence::config::text::duration;
use crate::evidence::config::{Configuration, ConfiguredRoute, Files, Listener};
use crate::snapshot::objects::docker::Container;

/// How deep blocks and named routes may lie in each other.
const DEEPEST: usize = 48;

/// Reads a Caddyfile.
pub(super) fn read(path: &str, text: &str, files: &Files, container: &Container, notes: &mut Notes) -> Configuration {
    let whole = parse::read(path, text, files, container, notes);
    let options = Options::read(&whole.options, notes);
    let mut walk = Walk { whole: &whole, options, image: &container.image, notes, routes: Vec::new(), listeners: Vec::new() };
    for site in &whole.sites {
        walk.site(site);
    }
    let listeners = all_listeners(walk.listeners.iter(), &walk.options);
    let mut routes = walk.routes;
    for listener in routes.iter_mut().flat_map(|r| &mut r.listeners) {
        listener.tls = listeners.iter().any(|l| l.port == listener.port && l.address == listener.address && l.tls);
    }
    Configuration { listeners, routes, ..Configuration::default() }
}

struct Walk<'a> {
    whole: &'a Caddyfile,
    options: Options,
    image: &'a str,
    notes: &'a mut Notes,
    routes: Vec<ConfiguredRoute>,
    listeners: Vec<Listener>,
}

impl Walk<'_> {
    fn site(&mut self, site: &Site) {
        let tls = site.block.iter().any(|d| d.name == "tls");
        let bind: Vec<_> = site.block.iter().filter(|d| d.name == "bind").flat_map(|d| addresses(d, self.notes)).collect();
        for key in &site.keys {
            let Some(address) = Address::read(&key.text) else {
                self.notes.add(&key.place, format!("the address {} is not understood", key.text));
                continue;
            };
            let listeners = address.listeners(tls, &bind, &self.options);
            self.listeners.extend(listeners.iter().cloned());
            let scope = Scope { listeners, conditions: vec![address.condition()], ..Scope::default() };
            self.block(&site.block, &scope, &Named::new(), 0);
        }
    }

    /// Follows the directives of a block. What answers or redirects everything leaves nothing to what comes after it.
    fn block(&mut self, block: &[Directive], outer: &Scope, named: &Named, depth: usize) {
        if depth > DEEPEST || self.routes.len() >= ROUTES {
            return;
        }
        let mut known = named.clone();
        known.extend(matcher::named(block));
        let always = |names: &[&str]| block.iter().any(|d| names.contains(&d.name.as_str()) && d.matcher().0.is_none_or(|m| m.text == "*"));
        if always(&["redir"]) {
            return;
        }
        let mut scope = outer.clone();
        for directive in block {
            self.change_path(directive, &mut scope, &known);
        }
        let answered = always(&["respond", "abort", "error"]);
        for directive in block.iter().filter(|d| !(answered && d.name == "reverse_proxy")) {
            self.directive(directive, &scope, &known, depth);
        }
    }

    fn directive(&mut self, directive: &Directive, scope: &Scope, named: &Named, depth: usize) {
        let condition = match directive.matcher().0.map(|token| matcher::of_token(token, named)).transpose() {
            Ok(condition) => condition,
            Err(why) => return self.notes.add(&directive.place, why),
        };
        match directive.name.as_str() {
            "handle" | "route" => self.block(&directive.block, &scope.under(condition), named, depth + 1),
            "handle_path" => {
                let mut inner = scope.under(condition);
                inner.strip(directive.first().map_or("", |p| p.trim_end_matches('*')));
                self.block(&directive.block, &inner, named, depth + 1);
            }
            "invoke" => {
                let name = directive.matcher().1.first().map_or("", |t| &t.text);
                match self.whole.named.get(name) {
                    Some(block) => self.block(block, &scope.under(condition), named, depth + 1),
                    None => self.notes.add(&directive.place, format!("the route {name} is not defined")),
                }
            }
            "reverse_proxy" => self.reverse_proxy(directive, &scope.under(condition)),
            "php_fastcgi" => self.notes.add(&directive.place, "a server that is spoken to by FastCGI is not looked at"),
            "forward_auth" => {
                let server = directive.matcher().1.first().map_or("", |t| &t.text);
                self.notes.add(&directive.place, format!("{server} is asked first and may refuse; it is not looked at"));
            }
            _ => {}
        }
    }

    /// What `uri` and `rewrite` make of the path. Those with a matcher change some requests only.
    fn change_path(&mut self, directive: &Directive, scope: &mut Scope, named: &Named) {
        let (token, args) = directive.matcher();
        let always = token.is_none_or(|t| t.text == "*" || is_whole(t, named, scope));
        let texts: Vec<&str> = args.iter().map(|a| a.text.as_str()).collect();
        match (directive.name.as_str(), texts.as_slice()) {
            ("uri", ["strip_prefix", prefix]) if always => scope.strip(prefix),
            // The one argument may begin with a slash, so that it looks like a matcher.
            ("rewrite", []) if token.is_some_and(|t| scope.rewrite(&t.text)) => {}
            ("rewrite", [to]) if always && scope.rewrite(to) => {}
            ("uri" | "rewrite" | "try_files", _) => {
                self.notes.add(&directive.place, format!("what path {} makes is not known", directive.name));
            }
            _ => {}
        }
    }

    fn reverse_proxy(&mut self, directive: &Directive, scope: &Scope) {
        let mut proxy = Proxy::default();
        for arg in directive.matcher().1 {
            proxy.dial(&arg.text, &arg.place, self.notes);
        }
        for line in &directive.block {
            self.proxy_line(line, &mut proxy);
        }
        let upstream = proxy.upstream(self.image, &directive.place, self.notes);
        self.routes.extend(scope.routes(&proxy, &directive.place, &upstream, self.notes));
    }

    fn proxy_line(&mut self, line: &Directive, proxy: &mut Proxy) {
        match (line.name.as_str(), line.first()) {
            ("to", _) => line.args.iter().for_each(|a| proxy.dial(&a.text, &a.place, self.notes)),
            ("dynamic", _) => self.notes.add(&line.place, "servers that are looked up by themselves are not known"),
            ("header_up", Some(name)) if name.eq_ignore_ascii_case("host") => proxy.host = line.args.get(1).map(|a| a.text.clone()),
            ("rewrite", Some(to)) => proxy.rewrite = Some(to.to_owned()),
            ("transport", Some("http")) => line.block.iter().for_each(|l| transport_line(l, proxy)),
            ("transport", Some(other)) => {
                self.notes.add(&line.place, format!("servers that are spoken to by {other} are not looked at"));
                proxy.servers.clear();
            }
            _ => {}
        }
    }
}

/// Whether a matcher is met by every request that comes to a place.
fn is_whole(token: &Token, named: &Named, scope: &Scope) -> bool {
    matcher::of_token(token, named).is_ok_and(|c| scope.conditions.contains(&c))
}

fn transport_line(line: &Directive, proxy: &mut Proxy) {
    let value = line.first();
    match line.name.as_str() {
        "tls" | "tls_client_auth" | "tls_trusted_ca_certs" | "tls_trust_pool" => proxy.tls = true,
        "tls_insecure_skip_verify" => (proxy.tls, proxy.insecure) = (true, true),
        "tls_server_name" => (proxy.tls, proxy.server_name) = (true, value.map(str::to_owned)),
        "versions" => proxy.h2c = line.texts().any(|t| t == "h2c"),
        "response_header_timeout" => proxy.read_timeout = value.and_then(|t| duration(t, Duration::from_secs(1))),
        "read_timeout" => proxy.read_timeout = proxy.read_timeout.or_else(|| duration(value?, Duration::from_secs(1))),
        _ => {}
    }
}

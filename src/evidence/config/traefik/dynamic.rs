//! Routers, services and middlewares, as labels and files both write them.

use std::collections::BTreeMap;

use crate::evidence::config::tree::Tree;
use crate::evidence::config::{Lookup, Note, Place, Server};
use crate::probe::Scheme;

/// Routers, services and middlewares of one provider or of all, by their names with the provider (`shop@docker`).
#[derive(Debug, Default)]
pub(super) struct Dynamic {
    /// Routers.
    pub routers: BTreeMap<String, Router>,
    /// Services.
    pub services: BTreeMap<String, Service>,
    /// Middlewares.
    pub middlewares: BTreeMap<String, Tree>,
    /// How servers are spoken to.
    pub transports: BTreeMap<String, Tree>,
    /// What could not be understood.
    pub notes: Vec<Note>,
}

/// A router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Router {
    /// Where it is declared.
    pub place: Place,
    /// Its rule.
    pub rule: String,
    /// Names of its entry points; none for the default ones.
    pub entry_points: Vec<String>,
    /// Whether it answers TLS.
    pub tls: bool,
    /// What gets its certificates, where it says so.
    pub resolver: Option<String>,
    /// Its service, by name with the provider.
    pub service: String,
    /// Its middlewares, by names with the provider.
    pub middlewares: Vec<String>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    /// Where it is declared.
    pub place: Place,
    /// What it does.
    pub kind: Kind,
}

/// What a service does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sends requests to servers.
    Servers(Servers),
    /// Sends requests to other services; those of the second list only where the others fail.
    Services(Vec<String>, Vec<String>),
    /// Something else.
    Other,
}

/// Servers and how they are spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Servers {
    /// The servers.
    pub servers: Vec<Target>,
    /// Whether they get the client's Host header.
    pub passes_host: bool,
    /// How they are spoken to, by name with the provider.
    pub transport: Option<String>,
    /// Where their addresses come from.
    pub lookup: Lookup,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// What is spoken to it.
    pub scheme: Scheme,
    /// Host and port as written, which is what it gets as Host header where the client's is not passed.
    pub authority: String,
    /// The server.
    pub server: Server,
}

impl Router {
    /// Reads a router of a provider, without its rule and service where it names none.
    pub fn read(tree: &Tree, provider: &str) -> Router {
        let rule = tree.get("rule");
        Router {
            place: rule.unwrap_or(tree).place.clone(),
            rule: rule.and_then(Tree::as_text).unwrap_or_default().to_owned(),
            entry_points: tree.texts("entrypoints").into_iter().map(str::to_owned).collect(),
            tls: tree.has("tls"),
            resolver: tree.text("tls.certresolver").map(str::to_owned),
            service: tree.text("service").filter(|s| !s.is_empty()).map(|s| qualified(s, provider)).unwrap_or_default(),
            middlewares: tree.texts("middlewares").into_iter().map(|m| qualified(m, provider)).collect(),
        }
    }
}

impl Service {
    /// Reads a service of a provider. Servers without a URL are not among its servers.
    pub fn read(tree: &Tree, provider: &str, lookup: Lookup, notes: &mut Vec<Note>) -> Service {
        let names = |path: &str| -> Vec<String> { tree.text(path).into_iter().map(|n| qualified(n, provider)).collect() };
        let kind = if let Some(balancer) = tree.get("loadbalancer") {
            Kind::Servers(servers(balancer, provider, lookup, notes))
        } else if tree.get("weighted").is_some() {
            let services = tree.items_of("weighted.services");
            Kind::Services(services.iter().filter_map(|s| s.text("name")).map(|n| qualified(n, provider)).collect(), Vec::new())
        } else if tree.get("mirroring").is_some() {
            Kind::Services(names("mirroring.service"), Vec::new())
        } else if tree.get("failover").is_some() {
            Kind::Services(names("failover.service"), names("failover.fallback"))
        } else {
            Kind::Other
        };
        Service { place: tree.place.clone(), kind }
    }
}

fn servers(balancer: &Tree, provider: &str, lookup: Lookup, notes: &mut Vec<Note>) -> Servers {
    let mut targets = Vec::new();
    for url in balancer.items_of("servers").into_iter().filter_map(|s| s.get("url")).chain(balancer.get("server.url")) {
        match url.as_text().and_then(|text| target(text, &url.place)) {
            Some(target) => targets.push(target),
            None => notes.push(Note { place: url.place.clone(), text: "the URL of a server is not understood".into() }),
        }
    }
    Servers {
        servers: targets,
        passes_host: balancer.truth("passhostheader").unwrap_or(true),
        transport: balancer.text("serverstransport").filter(|t| !t.is_empty()).map(|t| qualified(t, provider)),
        lookup,
    }
}

/// A server by its URL.
fn target(url: &str, place: &Place) -> Option<Target> {
    let uri: http::Uri = url.parse().ok()?;
    let scheme = scheme(uri.scheme_str()?)?;
    let host = uri.host()?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if scheme.is_tls() { 443 } else { 80 });
    let authority = uri.authority()?.as_str().to_owned();
    let server = Server { host, port, backup: false, place: place.clone(), container: None };
    Some(Target { scheme, authority, server })
}

/// What a scheme of a server's URL stands for.
pub(super) fn scheme(text: &str) -> Option<Scheme> {
    match text {
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        "h2c" => Some(Scheme::H2c),
        _ => None,
    }
}

/// A name with its provider: that of the place where it stands unless it names one.
pub(super) fn qualified(name: &str, provider: &str) -> String {
    if name.contains('@') { name.to_owned() } else { format!("{name}@{provider}") }
}

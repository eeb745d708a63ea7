//! What labels of containers make: Traefik's Docker provider.

use super::address::{NoServer, Surroundings};
use super::constraints;
use super::dynamic::{Dynamic, Kind, Router, Servers, Service, Target, qualified, scheme};
use super::merge::Clashes;
use super::naming::{default_rule, service_name};
use super::startup::DEFAULT_RULE;
use crate::evidence::config::tree::Tree;
use crate::evidence::config::{LeftOut, Lookup, Note, Omission, Pick, Place, Server};
use crate::probe::Scheme;
use crate::snapshot::objects::docker::Container;

/// The provider's name.
const PROVIDER: &str = "docker";
/// The longest label that is read, in bytes.
const LONGEST: usize = 16 * 1024;

/// What the labels of all containers make together.
#[derive(Debug, Default)]
pub(super) struct Labels {
    /// Routers and services.
    pub dynamic: Dynamic,
    /// Containers that are not served, and why.
    pub left_out: Vec<LeftOut>,
    /// Containers in several networks of which any is taken.
    pub picks: Vec<Pick>,
}

/// Reads the labels of all containers.
pub(super) fn read(around: &Surroundings<'_>) -> Labels {
    let mut labels = Labels::default();
    let mut clashes = Clashes::default();
    let mut passed_over = Vec::new();
    for container in around.containers {
        let mut part = Part::new(around, container);
        if let Some(why) = part.omission() {
            if matches!(why, Omission::Unhealthy | Omission::Starting) && part.is_meant() {
                part.read();
            }
            part.leave_out(why, &mut labels.left_out);
            passed_over.push(part.dynamic);
            continue;
        }
        part.read();
        if let Some(why) = part.unserved {
            part.leave_out(why, &mut labels.left_out);
        }
        labels.picks.append(&mut part.picks);
        clashes.merge(part.dynamic, &mut labels.dynamic);
    }
    clashes.remove(&mut labels.dynamic);
    // What would be served but for a health check keeps its routes, without servers, so that somebody can be told why they fail.
    for dynamic in passed_over {
        for (name, router) in dynamic.routers {
            labels.dynamic.routers.entry(name).or_insert(router);
        }
        for (name, service) in dynamic.services {
            labels.dynamic.services.entry(name).or_insert(service);
        }
    }
    labels
}

/// What the labels of one container make.
struct Part<'a> {
    around: &'a Surroundings<'a>,
    container: &'a Container,
    /// Its labels below `traefik`.
    tree: Tree,
    dynamic: Dynamic,
    picks: Vec<Pick>,
    /// Why it has no server.
    unserved: Option<Omission>,
}

impl<'a> Part<'a> {
    fn new(around: &'a Surroundings<'a>, container: &'a Container) -> Self {
        let mut tree = Tree::default();
        for (name, value) in container.labels.iter().filter(|(n, v)| n.len() + v.len() <= LONGEST) {
            if let Some(rest) = name.get(..8).filter(|p| p.eq_ignore_ascii_case("traefik.")).and(name.get(8..)) {
                tree.insert(rest, value, &place_of(name, container));
            }
        }
        Part { around, container, tree, dynamic: Dynamic::default(), picks: Vec::new(), unserved: None }
    }

    /// Why Traefik passes the container over; nothing where it does not.
    fn omission(&self) -> Option<Omission> {
        let docker = self.around.docker;
        if !self.tree.truth("enable").unwrap_or(docker.exposed_by_default) {
            return Some(Omission::NotEnabled);
        }
        match constraints::hold(docker, self.container) {
            Some(true) => {}
            Some(false) => return Some(Omission::Constraints),
            None => return Some(Omission::ConstraintsUnknown),
        }
        if self.keeps_when_stopped() {
            return None;
        }
        if !self.container.runs() {
            return Some(Omission::NotRunning);
        }
        if !docker.allows_empty { self.unhealthy() } else { None }
    }

    fn keeps_when_stopped(&self) -> bool {
        self.tree.truth("docker.allownonrunning") == Some(true)
    }

    fn unhealthy(&self) -> Option<Omission> {
        match self.container.state.health.as_ref()?.status.as_str() {
            "starting" => Some(Omission::Starting),
            "unhealthy" => Some(Omission::Unhealthy),
            _ => None,
        }
    }

    /// Whether anything says that the container is meant to be served.
    fn is_meant(&self) -> bool {
        self.tree.truth("enable") == Some(true) || self.tree.get("http").is_some()
    }

    fn leave_out(&self, why: Omission, into: &mut Vec<LeftOut>) {
        if self.is_meant() {
            let name = self.container.name.to_string();
            let services = self.dynamic.services.keys().cloned().collect();
            into.push(LeftOut { container: name, why, services });
        }
    }

    /// Whether nothing asks for the container to be served: Traefik gives each a router under its name all the same, databases among them,
    /// and nobody counts on those.
    fn is_served_unasked(&self) -> bool {
        !self.is_meant() && self.around.docker.default_rule == DEFAULT_RULE
    }

    fn read(&mut self) {
        if self.is_served_unasked() {
            return;
        }
        let has = |path: &str| self.tree.get(path).is_some();
        let other_kinds = ["tcp", "udp"].iter().any(|kind| has(&format!("{kind}.routers")) || has(&format!("{kind}.services")));
        let http = self.tree.get("http").cloned().unwrap_or_default();
        if other_kinds && http.entries().is_empty() {
            return;
        }
        self.read_services(&http);
        if self.unserved.is_some() && !self.is_meant() {
            self.dynamic = Dynamic::default();
            return;
        }
        self.read_routers(&http);
        for (name, tree) in entries(&http, "middlewares") {
            self.dynamic.middlewares.insert(qualified(name, PROVIDER), tree.clone());
        }
        for (name, tree) in entries(&http, "serverstransports") {
            self.dynamic.transports.insert(qualified(name, PROVIDER), tree.clone());
        }
    }

    fn read_services(&mut self, http: &Tree) {
        let mut named: Vec<(String, Tree)> = entries(http, "services").to_vec();
        if named.is_empty() {
            named.push((service_name(self.container), Tree { place: self.place(), ..Tree::default() }));
        }
        for (name, tree) in named {
            let mut service = Service::read(&tree, PROVIDER, Lookup::Given, &mut self.dynamic.notes);
            if tree.get("loadbalancer").is_none() && !tree.entries().is_empty() {
                let text = format!(
                    "the service {name} of container {} has no load balancer: Traefik passes the container over",
                    self.container.name
                );
                self.note(tree.place.clone(), text);
                self.unserved = Some(Omission::Labels);
                continue;
            }
            let Kind::Servers(servers) = &mut service.kind else {
                service.kind = Kind::Servers(self.with_own_server(&tree, &empty()));
                self.dynamic.services.insert(qualified(&name, PROVIDER), service);
                continue;
            };
            if servers.servers.is_empty() {
                *servers = self.with_own_server(&tree, servers);
            }
            self.dynamic.services.insert(qualified(&name, PROVIDER), service);
        }
    }

    /// The servers of a service that names no URL: the container itself.
    fn with_own_server(&mut self, service: &Tree, servers: &Servers) -> Servers {
        let mut servers = servers.clone();
        let serves = self.container.runs() && self.unhealthy().is_none();
        if let Some(target) = serves.then(|| self.own_server(service)).flatten() {
            servers.servers.push(target);
        }
        servers
    }

    fn own_server(&mut self, service: &Tree) -> Option<Target> {
        let value = |name: &str| {
            let balancer = service.get("loadbalancer")?;
            balancer.get("server").and_then(|s| s.get(name)).or_else(|| balancer.items_of("servers").first().and_then(|s| s.get(name)))
        };
        let port = value("port");
        let written = match port.map(|p| p.as_text().and_then(|t| t.parse().ok()).filter(|p| *p != 0)) {
            Some(None) => {
                self.unserved = Some(Omission::Labels);
                let place = port.map(|p| p.place.clone()).unwrap_or_default();
                self.note(place, "the port is no number".into());
                return None;
            }
            other => other.flatten(),
        };
        let scheme = match value("scheme").and_then(Tree::as_text) {
            None | Some("") => Scheme::Http,
            Some(text) => match scheme(text) {
                Some(scheme) => scheme,
                None => {
                    self.note(service.place.clone(), format!("the scheme {text} is not understood"));
                    return None;
                }
            },
        };
        let network = self.tree.text("docker.network").or(self.around.docker.network.as_deref()).filter(|n| !n.is_empty());
        let (address, port_number) = match self.around.dial(self.container, network, written) {
            Ok(found) => found,
            Err(why) => {
                self.unserved(why);
                return None;
            }
        };
        let place = port.map_or_else(|| self.place(), |p| p.place.clone());
        for text in address.notes {
            self.note(place.clone(), format!("container {}: {text}", self.container.name));
        }
        self.picks.extend(address.pick);
        let server =
            Server { host: address.host, port: port_number, backup: false, place, container: Some(self.container.name.to_string()) };
        Some(Target { scheme, authority: server.to_string(), server })
    }

    fn unserved(&mut self, why: NoServer) {
        let (omission, what) = match why {
            NoServer::Port => (Omission::NoPort, "no port: no label names one and the container exposes none"),
            NoServer::Address => (Omission::NoAddress, "no address in a network that Traefik may take"),
        };
        self.unserved = Some(omission);
        if self.is_meant() {
            self.note(self.place(), format!("container {} has {what}; Traefik passes it over", self.container.name));
        }
    }

    fn read_routers(&mut self, http: &Tree) {
        let mut routers: Vec<(String, Router)> =
            entries(http, "routers").iter().map(|(name, tree)| (name.clone(), Router::read(tree, PROVIDER))).collect();
        let is_gateway = self.container.id == self.around.gateway.id;
        if routers.is_empty() && self.dynamic.services.len() == 1 && !is_gateway {
            let empty = Tree { place: self.place(), ..Tree::default() };
            routers.push((service_name(self.container), Router::read(&empty, PROVIDER)));
        }
        for (name, mut router) in routers {
            if router.rule.is_empty() {
                match default_rule(&self.around.docker.default_rule, self.container) {
                    Some(rule) => router.rule = rule,
                    None => {
                        self.note(
                            router.place.clone(),
                            format!("the router {name} takes the default rule, a template that is not understood"),
                        );
                        continue;
                    }
                }
            }
            if router.service.is_empty() {
                let mut names = self.dynamic.services.keys();
                match (names.next(), names.next()) {
                    (Some(only), None) => router.service = only.clone(),
                    (None, _) => continue,
                    (Some(_), Some(_)) => {
                        let text = format!("the router {name} names no service and there are several: Traefik drops it");
                        self.note(router.place.clone(), text);
                        continue;
                    }
                }
            }
            self.dynamic.routers.insert(qualified(&name, PROVIDER), router);
        }
    }

    /// Where the container says that it is served: a label that enables it, else its name.
    fn place(&self) -> Place {
        self.tree.get("enable").map_or_else(|| Place { file: format!("container {}", self.container.name), line: 0 }, |t| t.place.clone())
    }

    fn note(&mut self, place: Place, text: String) {
        self.dynamic.notes.push(Note { place, text });
    }
}

fn empty() -> Servers {
    Servers { servers: Vec::new(), passes_host: true, transport: None, lookup: Lookup::Given }
}

fn entries<'a>(http: &'a Tree, kind: &str) -> &'a [(String, Tree)] {
    http.get(kind).map(Tree::entries).unwrap_or_default()
}

fn place_of(label: &str, container: &Container) -> Place {
    Place { file: format!("label {label} of container {}", container.name), line: 0 }
}

//! Routes of a gateway container: from its configuration to the containers that it sends requests to. Pure.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::gateway::{Entrance, Gateway, Implementation};
use super::{Backend, Dials, Endpoint, Path, Requests, Route};
use crate::evidence::config::{self, Configuration, ConfiguredRoute, HostHeader, Listener, Omission, Server, Upstream};
use crate::fact::Fact;
use crate::snapshot::Snapshot;
use crate::snapshot::objects::docker::{Container, DEFAULT_BRIDGE, Host, Status};
use crate::snapshot::objects::{Key, Meta, ObjectRef, PortRef, Service, ServicePort, ServiceType, Transport};
use crate::snapshot::software::image_name;

/// One route of a gateway container.
#[derive(Clone, Debug)]
pub struct ContainerRoute {
    /// The engine that it is on.
    pub host: Arc<Host>,
    /// The gateway's container.
    pub gateway: Arc<Container>,
    /// Everything that the gateway is told.
    pub configuration: Arc<Configuration>,
    /// Where this route sends requests.
    pub upstream: Upstream,
    /// Its servers, and where each leads on paper.
    pub servers: Vec<ServerPath>,
    /// What is to get its certificate, where the configuration names it.
    pub resolver: Option<String>,
}

/// A server of an upstream, and where it leads on paper.
#[derive(Clone, Debug)]
pub struct ServerPath {
    /// As written.
    pub server: Server,
    /// Where it leads.
    pub leads: Leads,
}

/// Where a server's name or address leads, as the engine declares it. The network may say something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leads {
    /// To the gateway's own network namespace.
    Loopback(IpAddr),
    /// To these running containers, at these addresses.
    Containers(Vec<(Arc<Container>, IpAddr)>),
    /// To the engine's host: a bridge's own address, or what `host-gateway` stands for.
    Host(IpAddr),
    /// To an address that is no container's and not the host's.
    Address(IpAddr),
    /// It is a name that no network of the gateway knows: it is outside, or wrong.
    Name,
}

impl ServerPath {
    /// Whether it leads to an address and port, as the engine declares it.
    pub fn leads_to(&self, to: SocketAddr) -> bool {
        let ip = to.ip();
        let leads = match &self.leads {
            Leads::Loopback(address) | Leads::Host(address) | Leads::Address(address) => *address == ip,
            Leads::Containers(found) => found.iter().any(|(_, address)| *address == ip),
            Leads::Name => false,
        };
        leads && self.server.port == to.port()
    }

    /// Whether the configuration names it by an address.
    pub fn is_address(&self) -> bool {
        self.server.host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
    }
}

impl ContainerRoute {
    /// The upstream as the configuration writes it, for messages.
    pub fn upstream_name(&self) -> String {
        let servers: Vec<String> = self.upstream.servers.iter().take(3).map(ToString::to_string).collect();
        match (&self.upstream.name, servers.as_slice()) {
            (Some(name), _) if servers.len() != 1 => name.clone(),
            (_, servers) => servers.join(", "),
        }
    }

    /// The Host header that the upstream gets, where it is not the client's.
    pub fn host_header(&self) -> Option<String> {
        match &self.upstream.host_header {
            HostHeader::Client => None,
            HostHeader::Fixed(text) => Some(text.clone()),
            HostHeader::Upstream => Some(match (&self.upstream.name, self.upstream.servers.first()) {
                (Some(name), _) => name.clone(),
                (None, Some(server)) if server.port == default_port(&self.upstream) => server.host.clone(),
                (None, Some(server)) => server.to_string(),
                (None, None) => return None,
            }),
        }
    }

    /// The server name that the gateway sends in TLS. Gateways in Go send the server's own where it is a name (`crypto/tls`).
    pub fn server_name(&self) -> Option<String> {
        let of_server = || match implementation(&self.gateway) {
            Implementation::Traefik | Implementation::Caddy => self.only_host().filter(|host| host.parse::<IpAddr>().is_err()),
            _ => None,
        };
        self.upstream.server_name.clone().or_else(of_server)
    }

    /// The name that the gateway looks for in the upstream's certificate, where that is known. nginx looks for what follows `proxy_pass`,
    /// whether or not it sends it.
    pub fn expected_name(&self) -> Option<String> {
        let by_default = || match implementation(&self.gateway) {
            Implementation::Traefik | Implementation::Caddy => self.only_host(),
            Implementation::Nginx => self.upstream.name.clone().or_else(|| self.only_host()),
            _ => None,
        };
        self.upstream.server_name.clone().or_else(by_default)
    }

    /// The host of all servers, where it is one.
    fn only_host(&self) -> Option<String> {
        let first = self.upstream.servers.first()?;
        self.upstream.servers.iter().all(|s| s.host == first.host).then(|| first.host.clone())
    }

    /// The path that the upstream gets for a client's.
    pub fn path_for(&self, asked: &str, of_route: &str) -> String {
        match &self.upstream.path_prefix {
            Some(prefix) => {
                let path = format!("{prefix}{}", asked.strip_prefix(of_route).unwrap_or_default());
                if path.starts_with('/') { path } else { format!("/{path}") }
            }
            None => asked.to_owned(),
        }
    }

    /// The container that would serve it, where the gateway passes it over and the upstream has no server for that.
    pub fn left_out(&self) -> Option<(&Arc<Container>, Omission)> {
        let name = self.upstream.name.as_ref().filter(|_| self.upstream.servers.is_empty())?;
        let found = self.configuration.left_out.iter().find(|l| l.services.contains(name))?;
        Some((self.host.container(&found.container)?, found.why))
    }

    /// The container whose network namespace the gateway lives in; none where its owner is gone.
    pub fn netns_owner(&self) -> Option<&Arc<Container>> {
        self.host.netns_owner(&self.gateway)
    }
}

fn default_port(upstream: &Upstream) -> u16 {
    if upstream.scheme.is_tls() { 443 } else { 80 }
}

/// The container gateway of a target, whether or not its configuration is known.
pub fn of<'s>(snapshot: &'s Snapshot, target: &ObjectRef) -> Option<(&'s Arc<Host>, &'s Arc<Container>)> {
    let host = snapshot.docker_host(&target.key.namespace)?;
    Some((host, host.container(&target.key.name)?))
}

/// The routes of a gateway container. Absent where there is no such container; failed where what it is told is not known.
pub fn paths(snapshot: &Snapshot, target: &ObjectRef) -> Fact<Vec<Path>> {
    let Some(host) = snapshot.docker_host(&target.key.namespace) else { return Fact::NotAsked };
    let Some(container) = host.container(&target.key.name) else { return Fact::Absent };
    let configuration = match host.configurations.get(container.name.as_str()) {
        Some(Fact::Known(configuration)) => configuration,
        // What it is told may be the very reason that it does not run: that is judged without it.
        Some(Fact::Failed(_)) if !container.runs() => return Fact::Known(vec![untold(host, container, target)]),
        Some(Fact::Failed(why)) => return Fact::Failed(why.clone()),
        Some(Fact::Absent | Fact::NotAsked) | None => return Fact::Failed("it is no gateway that is known".into()),
    };
    if configuration.routes.is_empty() && !container.runs() {
        return Fact::Known(vec![untold(host, container, target)]);
    }
    let paths = configuration.routes.iter().map(|route| path(host, container, configuration, target, route));
    Fact::Known(paths.collect())
}

/// Everything that a gateway serves, where nothing is known of what it is told.
fn untold(host: &Arc<Host>, container: &Arc<Container>, target: &ObjectRef) -> Path {
    path(host, container, &Arc::default(), target, &ConfiguredRoute::untold())
}

fn path(host: &Arc<Host>, container: &Arc<Container>, whole: &Arc<Configuration>, target: &ObjectRef, of: &ConfiguredRoute) -> Path {
    let servers: Vec<ServerPath> =
        of.upstream.servers.iter().map(|server| ServerPath { server: server.clone(), leads: leads(host, container, server) }).collect();
    let route = Route {
        target: target.clone(),
        field: of.place.to_string(),
        host: of.host.clone(),
        path: of.path.clone(),
        path_type: of.path_type,
        tls: !of.listeners.is_empty() && of.listeners.iter().all(|l| l.tls),
        service: None,
        port: None,
    };
    let backend = Backend {
        service: Fact::NotAsked,
        port: Fact::NotAsked,
        slices: Fact::NotAsked,
        endpoints: endpoints(container, &servers),
        pods: Fact::NotAsked,
        workloads: Vec::new(),
        scheme: of.upstream.scheme,
        scheme_from: None,
        policies: Fact::NotAsked,
        dials: Dials::Endpoints,
    };
    let gateway = Arc::new(gateway(host, container, &of.listeners));
    let (host, gateway_container) = (host.clone(), container.clone());
    let (upstream, resolver) = (of.upstream.clone(), of.resolver.clone());
    let container = ContainerRoute { host, gateway: gateway_container, configuration: whole.clone(), upstream, servers, resolver };
    Path {
        route,
        class: Fact::NotAsked,
        gateway: Fact::Known(gateway),
        backend,
        container: Some(Arc::new(container)),
        requests: Requests::default(),
    }
}

fn gateway(host: &Host, container: &Arc<Container>, listeners: &[Listener]) -> Gateway {
    let port = |listener: &Listener| ServicePort {
        name: listener.name.clone(),
        port: listener.port,
        target: PortRef::Number(listener.port),
        transport: Transport::Tcp,
        node_port: None,
        app_protocol: None,
    };
    let service = Service {
        meta: Meta { name: container.name.clone(), ..Meta::default() },
        service_type: ServiceType::ClusterIP,
        ports: listeners.iter().map(port).collect(),
        ..Service::default()
    };
    Gateway {
        implementation: implementation(container),
        service: Arc::new(service),
        pods: Vec::new(),
        entrances: if container.runs() { entrances(host, container, listeners) } else { Vec::new() },
        entrances_unknown: None,
        found_by: "its image",
    }
}

/// The software of a gateway container: by the program that it runs, else by its image.
pub fn implementation(container: &Container) -> Implementation {
    match config::program(container) {
        Implementation::Other => Implementation::named_in(image_name(&container.image)),
        known => known,
    }
}

/// Where the gateway can be asked from inside its own network namespace.
fn entrances(host: &Host, container: &Arc<Container>, listeners: &[Listener]) -> Vec<Entrance> {
    let owner = host.netns_owner(container);
    let own = owner.and_then(|o| o.attachments.iter().find_map(|a| a.address));
    let loopback = IpAddr::from([127, 0, 0, 1]);
    let address = |l: &Listener| match l.address {
        ip if ip.is_unspecified() => own.unwrap_or(loopback),
        ip => ip,
    };
    let entrance = |l: &Listener| Entrance {
        tls: l.tls,
        address: SocketAddr::new(address(l), l.port),
        pod: None,
        port: l.name.clone().unwrap_or_default(),
    };
    let mut entrances: Vec<Entrance> = listeners.iter().map(entrance).collect();
    entrances.sort();
    entrances.dedup();
    entrances
}

fn endpoints(gateway: &Arc<Container>, servers: &[ServerPath]) -> Vec<Endpoint> {
    let endpoint = |address: IpAddr, port: u16, container: Option<Arc<Container>>| Endpoint {
        address,
        port: Some(port),
        ready: true,
        terminating: false,
        node: None,
        pod: Fact::NotAsked,
        container,
        slice: Key::new("", ""),
    };
    let mut endpoints = Vec::new();
    for ServerPath { server, leads } in servers.iter().filter(|s| !s.server.backup) {
        match leads {
            Leads::Containers(found) => endpoints.extend(found.iter().map(|(c, ip)| endpoint(*ip, server.port, Some(c.clone())))),
            Leads::Loopback(ip) => endpoints.push(endpoint(*ip, server.port, Some(gateway.clone()))),
            Leads::Host(ip) | Leads::Address(ip) => endpoints.push(endpoint(*ip, server.port, None)),
            Leads::Name => {}
        }
    }
    endpoints.sort_by_key(|e| (e.address, e.port));
    endpoints.dedup_by_key(|e| (e.address, e.port));
    endpoints
}

/// Where a server leads: its address' owner, or whom the networks of the gateway know by its name.
fn leads(host: &Host, gateway: &Arc<Container>, server: &Server) -> Leads {
    if let Ok(ip) = server.host.trim_matches(['[', ']']).parse::<IpAddr>() {
        return address_leads(host, ip);
    }
    let name = server.host.trim_end_matches('.');
    if name.eq_ignore_ascii_case("localhost") {
        return Leads::Loopback(IpAddr::from([127, 0, 0, 1]));
    }
    let owner = host.netns_owner(gateway).unwrap_or(gateway);
    // What stands in /etc/hosts comes before the DNS.
    if let Some((_, address)) = gateway.extra_hosts.iter().chain(&owner.extra_hosts).find(|(n, _)| n.eq_ignore_ascii_case(name)) {
        return match address.parse() {
            Ok(ip) => address_leads(host, ip),
            Err(_) => host_gateway(host).map_or(Leads::Name, Leads::Host),
        };
    }
    let linked = owner.links.iter().find(|(_, alias)| alias.eq_ignore_ascii_case(name)).and_then(|(c, _)| host.container(c));
    let by_link =
        linked.into_iter().flat_map(|c| c.attachments.iter().filter(|a| owner.attachment(&a.network).is_some()).map(move |a| (c, a)));
    let networks = owner.attachments.iter().filter(|a| a.has_dns());
    let by_dns = networks.flat_map(|a| host.named(&a.network, name));
    let running = by_link.chain(by_dns).filter(|(c, _)| c.state.status != Status::Exited);
    let mut found: Vec<(Arc<Container>, IpAddr)> = running.filter_map(|(c, a)| Some((c.clone(), a.address.or(a.address6)?))).collect();
    found.sort_by_key(|(_, ip)| *ip);
    found.dedup_by_key(|(_, ip)| *ip);
    if found.is_empty() { Leads::Name } else { Leads::Containers(found) }
}

fn address_leads(host: &Host, ip: IpAddr) -> Leads {
    if ip.is_loopback() {
        return Leads::Loopback(ip);
    }
    if let Some(owner) = host.owner_of(ip) {
        return Leads::Containers(vec![(owner.clone(), ip)]);
    }
    if host.networks.iter().any(|n| n.gateways.contains(&ip)) { Leads::Host(ip) } else { Leads::Address(ip) }
}

/// What `host-gateway` stands for: the default bridge's address, unless the daemon is told another.
fn host_gateway(host: &Host) -> Option<IpAddr> {
    host.network(DEFAULT_BRIDGE)?.gateways.first().copied()
}

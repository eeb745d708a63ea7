//! How a route resolves: from its object to gateway, Service, port, endpoints, pods and policies. Pure.
//!
//! One [`Path`] stands for one host and path of a target. Everything on it is a [`Fact`]: what a snapshot does not cover is
//! never taken as absent.

pub mod backend;
pub mod container;
pub mod dials;
pub mod dns;
pub mod gateway;
pub mod landmarks;
pub mod pattern;
pub mod policy;
pub mod scheme;
pub mod traefik;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use crate::fact::Fact;
use crate::probe::{Probe, Scheme};
use crate::snapshot::Snapshot;
use crate::snapshot::objects::docker::Container;
use crate::snapshot::objects::{
    EndpointSlice, Ingress, IngressBackend, IngressClass, Key, Kind, NetworkPolicy, ObjectRef, PathType, Pod, PortRef, Service,
    ServicePort, Text, Workload,
};
pub use container::{ContainerRoute, Leads, ServerPath};
pub use dials::Dials;
pub use gateway::{Entrance, Gateway, Implementation};

/// The chain that a request takes for one host and path of a target.
#[derive(Clone, Debug)]
pub struct Path {
    /// The host and path, and where they lead on paper.
    pub route: Route,
    /// The IngressClass that applies; absent where the route names none that exists and there is no default one.
    pub class: Fact<Arc<IngressClass>>,
    /// What answers the client; absent for Service targets, which are asked directly.
    pub gateway: Fact<Arc<Gateway>>,
    /// What the route leads to.
    pub backend: Backend,
    /// Of a gateway container's route: what its configuration says, and where that leads on the engine's host.
    pub container: Option<Arc<ContainerRoute>>,
    /// The requests that stand for it, once they were made.
    pub requests: Requests,
}

/// Requests of one path, made when they are first asked for, since they are looked up again and again.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// Those through the gateway, in plain text and in TLS.
    pub through_gateway: OnceLock<[Vec<Probe>; 2]>,
    /// The gateway's own to each endpoint.
    pub to_endpoints: OnceLock<Vec<Probe>>,
}

/// One host and path of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The Ingress, the gateway container, or the Service that is asked directly.
    pub target: ObjectRef,
    /// Where in the target's object or configuration it stands, e.g. `spec.rules[0].http.paths[0]`.
    pub field: String,
    /// Host as written, possibly with a leading `*.`; none means any.
    pub host: Option<String>,
    /// Path as written.
    pub path: String,
    /// How the path is matched.
    pub path_type: PathType,
    /// Whether the target wants TLS for this host.
    pub tls: bool,
    /// The Service that it names, or none where its backend is another resource.
    pub service: Option<Key>,
    /// The Service port that it names.
    pub port: Option<PortRef>,
}

/// What a route leads to.
#[derive(Clone, Debug)]
pub struct Backend {
    /// The Service.
    pub service: Fact<Arc<Service>>,
    /// The Service's port that the route names.
    pub port: Fact<ServicePort>,
    /// The Service's EndpointSlices.
    pub slices: Fact<Vec<Arc<EndpointSlice>>>,
    /// The endpoints in them, in order of their addresses, each once.
    pub endpoints: Vec<Endpoint>,
    /// The pods that the Service's selector matches and that have not ended; absent where it has no selector.
    pub pods: Fact<Vec<Arc<Pod>>>,
    /// The workloads whose pod template the selector matches: Deployments, StatefulSets, DaemonSets, and ReplicaSets.
    pub workloads: Vec<Arc<Workload>>,
    /// What the gateway speaks to the endpoints.
    pub scheme: Scheme,
    /// The object and field that make the gateway speak it, where it is not the default.
    pub scheme_from: Option<(ObjectRef, String)>,
    /// The NetworkPolicies of the backend's namespace.
    pub policies: Fact<Vec<Arc<NetworkPolicy>>>,
    /// What the gateway dials for the Service.
    pub dials: Dials,
}

/// One address behind a Service.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its address.
    pub address: IpAddr,
    /// Its port for the route's Service port; none where the slice has no port of that name.
    pub port: Option<u16>,
    /// Whether gateways may use it (conditions.ready; nothing counts as yes).
    pub ready: bool,
    /// Whether it is being taken down.
    pub terminating: bool,
    /// The node it runs on, as the slice says.
    pub node: Option<Text>,
    /// The pod behind it: by the slice's targetRef, else by its address.
    pub pod: Fact<Arc<Pod>>,
    /// The container behind it, on a Docker engine.
    pub container: Option<Arc<Container>>,
    /// The slice that lists it; empty for a container.
    pub slice: Key,
}

impl Endpoint {
    /// Where to connect, where the port is known.
    pub fn socket(&self) -> Option<SocketAddr> {
        self.port.map(|port| SocketAddr::new(self.address, port))
    }
}

impl Backend {
    /// The endpoints that gateways send requests to.
    pub fn ready_endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(|e| e.ready && e.port.is_some())
    }
}

impl Path {
    /// The Host header that the gateway sends for an endpoint: the client's, unless its configuration says another.
    pub fn host_for(&self, to: SocketAddr) -> String {
        let own = self.container.as_ref().and_then(|c| c.host_header());
        own.or_else(|| self.route.asked_host()).unwrap_or_else(|| to.to_string())
    }

    /// The path that the gateway sends: the client's, unless its configuration changes it.
    pub fn path_sent(&self) -> String {
        let asked = self.route.asked_path();
        self.container.as_ref().map_or_else(|| asked.clone(), |c| c.path_for(&asked, &self.route.path))
    }

    /// The server name that the gateway sends in TLS.
    pub fn server_name_sent(&self) -> Option<String> {
        self.container.as_ref().map_or_else(|| self.route.asked_host(), |c| c.server_name())
    }
}

impl Route {
    /// The host to ask for: the host itself, or a name under a wildcard; none where any host does.
    pub fn asked_host(&self) -> Option<String> {
        self.host.as_ref().map(|h| h.strip_prefix("*.").map_or_else(|| h.clone(), |parent| format!("culprit.{parent}")))
    }

    /// The path to ask for: the path as written, or what it means where it is a pattern.
    pub fn asked_path(&self) -> String {
        if !pattern::is_meant(&self.path, self.path_type) {
            return if self.path.starts_with('/') { self.path.clone() } else { "/".to_owned() };
        }
        pattern::example(&self.path).unwrap_or_else(|| "/".to_owned())
    }

    /// The route as a person writes it: `shop.test/cart`.
    pub fn title(&self) -> String {
        format!("{}{}", self.host.as_deref().unwrap_or("*"), self.path)
    }
}

/// Resolves every route of a target. Absent where the target itself does not exist.
pub fn resolve(snapshot: &Snapshot, target: &ObjectRef) -> Fact<Vec<Path>> {
    match target.kind {
        Kind::Ingress => snapshot.ingress(&target.key).map(|ingress| ingress_paths(snapshot, &ingress)),
        Kind::Service => snapshot.service(&target.key).map(|service| service_paths(snapshot, &service)),
        Kind::Container => container::paths(snapshot, target),
        kind => Fact::Failed(format!("a {kind} is no target")),
    }
}

/// What answers clients for a target, without the rest of its paths; none for a Service, and where it is not known.
pub fn gateway_of(snapshot: &Snapshot, target: &ObjectRef) -> Option<Arc<Gateway>> {
    if target.kind != Kind::Ingress {
        return None;
    }
    let ingress = snapshot.ingress(&target.key);
    let ingress = ingress.known()?;
    gateway::find(snapshot, ingress, &gateway::class_of(snapshot, ingress)).known().cloned()
}

fn ingress_paths(snapshot: &Snapshot, ingress: &Arc<Ingress>) -> Vec<Path> {
    let class = gateway::class_of(snapshot, ingress);
    let gateway = gateway::find(snapshot, ingress, &class);
    let implementation = gateway.known().map_or(Implementation::Other, |g| g.implementation);
    let is_traefik = implementation == Implementation::Traefik;
    let gateway = gateway.map(|g| if is_traefik { traefik::narrowed(g, ingress) } else { g });
    routes_of(ingress)
        .into_iter()
        .map(|mut route| {
            route.tls |= is_traefik && traefik::is_tls_only(ingress);
            let mut backend = backend::resolve(snapshot, &route, Some(ingress), implementation);
            let service = backend.service.known().map(AsRef::as_ref);
            backend.dials = dials::of(gateway.known().map(AsRef::as_ref), class.known().map(AsRef::as_ref), Some(ingress), service);
            Path { route, class: class.clone(), gateway: gateway.clone(), backend, container: None, requests: Requests::default() }
        })
        .collect()
}

/// The routes of an Ingress in the order of its rules; the default backend last.
pub fn routes_of(ingress: &Ingress) -> Vec<Route> {
    let rules = ingress.rules.iter().enumerate().flat_map(|(i, rule)| {
        rule.paths.iter().enumerate().map(move |(j, path)| {
            let field = format!("spec.rules[{i}].http.paths[{j}]");
            route(ingress, field, rule.host.clone(), path.path.clone(), path.path_type, &path.backend)
        })
    });
    let default = ingress
        .default_backend
        .iter()
        .map(|backend| route(ingress, "spec.defaultBackend".into(), None, "/".into(), PathType::Prefix, backend));
    rules.chain(default).collect()
}

fn route(ingress: &Ingress, field: String, host: Option<String>, path: String, path_type: PathType, backend: &IngressBackend) -> Route {
    let (service, port) = match backend {
        IngressBackend::Service { name, port } => {
            (Some(Key { namespace: ingress.meta.namespace.clone(), name: name.clone() }), Some(port.clone()))
        }
        IngressBackend::Resource(_) => (None, None),
    };
    let tls = ingress.tls.iter().any(|t| t.hosts.is_empty() || host.as_ref().is_some_and(|h| t.names(h)));
    let target = ObjectRef { kind: Kind::Ingress, key: ingress.meta.key() };
    Route { target, field, host, path, path_type, tls, service, port }
}

fn service_paths(snapshot: &Snapshot, service: &Arc<Service>) -> Vec<Path> {
    let tcp = service.ports.iter().filter(|p| p.transport == crate::snapshot::objects::Transport::Tcp);
    tcp.enumerate()
        .map(|(i, port)| {
            let route = Route {
                target: ObjectRef { kind: Kind::Service, key: service.meta.key() },
                field: format!("spec.ports[{i}]"),
                host: None,
                path: "/".into(),
                path_type: PathType::Prefix,
                tls: false,
                service: Some(service.meta.key()),
                port: Some(PortRef::Number(port.port)),
            };
            let mut backend = backend::resolve(snapshot, &route, None, Implementation::Other);
            backend.dials = dials::of(None, None, None, Some(service));
            Path { route, class: Fact::NotAsked, gateway: Fact::Absent, backend, container: None, requests: Requests::default() }
        })
        .collect()
}

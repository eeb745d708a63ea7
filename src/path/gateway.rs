//! The gateway of a route: found from its class' controller, its status address, Services and pods.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::api::ANNOTATION_GATEWAY;
use crate::fact::Fact;
use crate::snapshot::Snapshot;
use crate::snapshot::objects::{
    EndpointSlice, Ingress, IngressClass, Key, ObjectRef, Pod, Service, ServicePort, ServiceType, Transport, is_subset,
};

/// What answers the client for a route.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Which software it is.
    pub implementation: Implementation,
    /// The Service in front of it.
    pub service: Arc<Service>,
    /// Its pods, ready or not.
    pub pods: Vec<Arc<Pod>>,
    /// Addresses that it can be asked at: its ready pods'.
    pub entrances: Vec<Entrance>,
    /// Why they could not be looked up, where they could not.
    pub entrances_unknown: Option<String>,
    /// How it was found, in a few words.
    pub found_by: &'static str,
}

/// An address of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entrance {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Where to connect.
    pub address: SocketAddr,
    /// The pod behind it.
    pub pod: Option<ObjectRef>,
}

/// Gateway software whose habits are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::EnumIter)]
pub enum Implementation {
    /// Traefik
    Traefik,
    /// nginx, ingress-nginx
    #[strum(serialize = "nginx")]
    Nginx,
    /// HAProxy
    #[strum(serialize = "HAProxy")]
    Haproxy,
    /// Envoy and what is built on it (Contour, Istio, Envoy Gateway …)
    Envoy,
    /// Apache httpd
    #[strum(serialize = "Apache httpd")]
    Apache,
    /// Caddy
    Caddy,
    /// Something else, or none.
    #[default]
    #[strum(serialize = "gateway")]
    Other,
}

impl Implementation {
    /// Words that stand for it in controller names, images and labels.
    fn words(self) -> &'static [&'static str] {
        match self {
            Implementation::Traefik => &["traefik"],
            Implementation::Nginx => &["nginx"],
            Implementation::Haproxy => &["haproxy"],
            Implementation::Envoy => &["envoy", "contour", "istio", "emissary", "gloo"],
            Implementation::Apache => &["apache", "httpd"],
            Implementation::Caddy => &["caddy"],
            Implementation::Other => &[],
        }
    }

    /// The software that a controller string or image names.
    pub fn named_in(text: &str) -> Self {
        use strum::IntoEnumIterator;
        let text = text.to_ascii_lowercase();
        Implementation::iter().find(|i| i.words().iter().any(|w| text.contains(w))).unwrap_or_default()
    }
}

impl Gateway {
    /// An entrance for plain text or TLS.
    pub fn entrance(&self, tls: bool) -> Option<&Entrance> {
        self.entrances.iter().find(|e| e.tls == tls)
    }
}

/// The class that applies to an Ingress: the one it names, else the cluster's default.
pub fn class_of(snapshot: &Snapshot, ingress: &Ingress) -> Fact<Arc<IngressClass>> {
    match &ingress.class {
        Some(name) => snapshot.class(name),
        None => snapshot.classes().and_then(|classes| classes.into_iter().find(|c| c.is_default).map_or(Fact::Absent, Fact::Known)),
    }
}

/// The gateway of an Ingress.
///
/// Without a class that exists, a gateway may serve the Ingress all the same (some take those without a class), so the only
/// gateway of the cluster is asked then. Absent where there is no gateway, failed where it could not be told.
pub fn find(snapshot: &Snapshot, ingress: &Ingress, class: &Fact<Arc<IngressClass>>) -> Fact<Gateway> {
    if let Some(named) = named(snapshot, ingress, class.known()) {
        return match snapshot.service(&named) {
            Fact::Known(service) => Fact::Known(describe(snapshot, service, Implementation::Other, "the annotation culprit.dev/gateway")),
            Fact::Absent => Fact::Failed(format!("the annotation {ANNOTATION_GATEWAY} names Service {named}, which does not exist")),
            Fact::NotAsked => Fact::NotAsked,
            Fact::Failed(why) => Fact::Failed(why),
        };
    }
    match class {
        Fact::Known(class) => match of_class(snapshot, class).or_else(|| by_status_address(snapshot, ingress)) {
            Some(gateway) => Fact::Known(gateway),
            None => unknown(class),
        },
        Fact::Absent => by_status_address(snapshot, ingress).or_else(|| only_gateway(snapshot)).map_or(Fact::Absent, Fact::Known),
        Fact::NotAsked => Fact::NotAsked,
        Fact::Failed(why) => Fact::Failed(why.clone()),
    }
}

/// The Services in front of the gateways of all classes: what a change of a gateway's pods touches.
pub fn services(snapshot: &Snapshot) -> BTreeSet<Key> {
    let classes = snapshot.classes().known().cloned().unwrap_or_default();
    let found = classes.iter().filter_map(|c| of_class(snapshot, c).map(|g| g.service.meta.key()));
    found.collect()
}

fn unknown(class: &IngressClass) -> Fact<Gateway> {
    Fact::Failed(format!(
        "no Service in front of the controller {} of class {} was found; name it with the annotation {ANNOTATION_GATEWAY}: namespace/service",
        class.controller, class.meta.name
    ))
}

/// The Service that the annotation `culprit.dev/gateway` of the Ingress, its class or its namespace names.
pub fn named(snapshot: &Snapshot, ingress: &Ingress, class: Option<&Arc<IngressClass>>) -> Option<Key> {
    let namespace = snapshot.namespace(&ingress.meta.namespace);
    let metas = [Some(&ingress.meta), class.map(|c| &c.meta), namespace.known().map(|n| &n.meta)];
    let value = metas.into_iter().flatten().find_map(|m| m.annotations.get(ANNOTATION_GATEWAY))?;
    let (namespace, name) = value.split_once('/').unwrap_or((&ingress.meta.namespace, value));
    Some(Key::new(namespace, name))
}

fn by_status_address(snapshot: &Snapshot, ingress: &Ingress) -> Option<Gateway> {
    let holds = |s: &Service| {
        ingress.addresses.iter().any(|address| {
            s.addresses.contains(address)
                || address.parse::<IpAddr>().is_ok_and(|ip| s.cluster_ips.contains(&ip) || s.external_ips.contains(&ip))
        })
    };
    let service = snapshot.services().find(|s| holds(s) && faces_clients(s))?;
    Some(describe(snapshot, service.clone(), Implementation::Other, "the Ingress' status address"))
}

/// The only gateway of the cluster, over all classes.
fn only_gateway(snapshot: &Snapshot) -> Option<Gateway> {
    let [only] = <[Gateway; 1]>::try_from(all(snapshot)).ok()?;
    Some(Gateway { found_by: "the only gateway of the cluster", ..only })
}

/// The gateways of all classes, each once.
pub fn all(snapshot: &Snapshot) -> Vec<Gateway> {
    let keys = services(snapshot);
    let services = keys.iter().filter_map(|key| snapshot.service(key).known().cloned());
    services.map(|s| describe(snapshot, s, Implementation::Other, "the class of another Ingress")).collect()
}

/// The pods that seem to run a class' controller.
pub fn controller_pods<'s>(snapshot: &'s Snapshot, class: &IngressClass) -> Vec<&'s Arc<Pod>> {
    let implementation = Implementation::named_in(&class.controller);
    let word = |text: &str| names(implementation, class, text);
    let runs_it = |p: &&Arc<Pod>| {
        !p.has_ended() && p.containers.iter().any(|c| word(image_name(&c.image)) || c.args.iter().any(|a| a.contains(&class.controller)))
    };
    snapshot.pods().filter(runs_it).collect()
}

/// A pod whose image is that of known gateway software, of whatever class.
pub fn any_gateway_pod(snapshot: &Snapshot) -> Option<&Arc<Pod>> {
    let is_gateway = |p: &Pod| p.containers.iter().any(|c| Implementation::named_in(image_name(&c.image)) != Implementation::Other);
    snapshot.pods().find(|p| !p.has_ended() && is_gateway(p))
}

/// The gateway that a class' controller runs: what its pods say they publish, else the Service in front of them.
fn of_class(snapshot: &Snapshot, class: &IngressClass) -> Option<Gateway> {
    let implementation = Implementation::named_in(&class.controller);
    let word = |text: &str| names(implementation, class, text);
    let pods = controller_pods(snapshot, class);
    if let Some(service) = pods.iter().find_map(|p| published_service(snapshot, p)) {
        return Some(describe(snapshot, service, implementation, "what its pods publish"));
    }
    let selects = |s: &Service, p: &Pod| {
        s.meta.namespace == p.meta.namespace && s.selector.as_ref().is_some_and(|sel| !sel.is_empty() && is_subset(sel, &p.meta.labels))
    };
    let in_front = snapshot.services().filter(|s| faces_clients(s) && pods.iter().any(|p| selects(s, p)));
    if let Some(service) = in_front.max_by_key(|s| (exposure(s), std::cmp::Reverse(s.meta.key()))) {
        return Some(describe(snapshot, service.clone(), implementation, "the Service in front of the controller's pods"));
    }
    // Without pods the names are all that is left: a gateway whose pods are gone still has its Service.
    let named = |s: &Service| word(&s.meta.name) || s.selector.iter().flatten().any(|(_, v)| word(v));
    let by_name = snapshot.services().filter(|s| faces_clients(s) && named(s));
    let service = by_name.max_by_key(|s| (exposure(s), std::cmp::Reverse(s.meta.key())))?;
    Some(describe(snapshot, service.clone(), implementation, "the name of its Service"))
}

/// Whether a name contains a word of the controller's software, or the first label of its domain where the software is not known.
fn names(implementation: Implementation, class: &IngressClass, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    if implementation != Implementation::Other {
        return implementation.words().iter().any(|w| text.contains(w));
    }
    let first = class.controller.split(['.', '/']).next().unwrap_or_default();
    first.len() > 2 && text.contains(&first.to_ascii_lowercase())
}

/// The last part of an image's path without its tag: `traefik` of `registry/library/traefik:3`.
fn image_name(image: &str) -> &str {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split([':', '@']).next().unwrap_or(last)
}

/// The Service that a controller is told to publish: Traefik's `publishedservice=ns/name`, ingress-nginx' and HAProxy's `publish-service=ns/name`.
fn published_service(snapshot: &Snapshot, pod: &Pod) -> Option<Arc<Service>> {
    let arguments = pod.containers.iter().flat_map(|c| &c.args);
    let value = arguments
        .filter_map(|a| a.split_once('='))
        .find(|(flag, _)| {
            let flag = flag.to_ascii_lowercase();
            flag.ends_with("publishedservice") || flag.ends_with("publish-service")
        })
        .map(|(_, value)| value.replace("$(POD_NAMESPACE)", &pod.meta.namespace))?;
    let (namespace, name) = value.split_once('/')?;
    snapshot.service(&Key::new(namespace, name)).known().cloned()
}

fn faces_clients(service: &Service) -> bool {
    service.service_type != ServiceType::ExternalName && service.ports.iter().any(|p| port_use(p).is_some())
}

/// Load balancers before node ports before cluster-internal Services.
fn exposure(service: &Service) -> u8 {
    match service.service_type {
        ServiceType::LoadBalancer => 2,
        ServiceType::NodePort => 1,
        ServiceType::ClusterIP | ServiceType::ExternalName => 0,
    }
}

/// Whether a gateway's port is for clients, and if so whether it speaks TLS.
fn port_use(port: &ServicePort) -> Option<bool> {
    if port.transport != Transport::Tcp {
        return None;
    }
    let name = port.name.as_deref().unwrap_or_default();
    match (port.port, name) {
        (_, "https" | "websecure" | "tls" | "ssl") | (443 | 8443, _) => Some(true),
        (_, "http" | "web" | "http2") | (80 | 8080 | 8000, _) => Some(false),
        _ => None,
    }
}

fn describe(snapshot: &Snapshot, service: Arc<Service>, implementation: Implementation, found_by: &'static str) -> Gateway {
    let key = service.meta.key();
    let pods = match &service.selector {
        Some(selector) if !selector.is_empty() => {
            snapshot.pods_labelled(&service.meta.namespace, selector).known().cloned().unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let pods: Vec<Arc<Pod>> = pods.into_iter().filter(|p| !p.has_ended()).collect();
    let implementation = match implementation {
        Implementation::Other => {
            let images = pods.iter().flat_map(|p| &p.containers).map(|c| Implementation::named_in(image_name(&c.image)));
            images.into_iter().find(|i| *i != Implementation::Other).unwrap_or_default()
        }
        known => known,
    };
    let (entrances, entrances_unknown) = match snapshot.slices_of(&key) {
        Fact::Known(slices) => (entrances(&slices, &service), None),
        other => {
            (Vec::new(), Some(format!("the gateway's EndpointSlices could not be looked up: {}", other.why_unknown().unwrap_or("absent"))))
        }
    };
    Gateway { implementation, service, pods, entrances, entrances_unknown, found_by }
}

/// Ready addresses of the gateway's Service for its client ports.
fn entrances(slices: &[Arc<EndpointSlice>], service: &Service) -> Vec<Entrance> {
    let mut entrances = Vec::new();
    for port in &service.ports {
        let Some(tls) = port_use(port) else { continue };
        for slice in slices {
            let same_name = |name: &Option<String>| name.clone().unwrap_or_default() == port.name.clone().unwrap_or_default();
            let Some(number) = slice.ports.iter().find(|p| same_name(&p.name)).and_then(|p| p.port) else { continue };
            for endpoint in slice.endpoints.iter().filter(|e| e.ready.unwrap_or(true)) {
                let Some(ip) = endpoint.addresses.first().and_then(|a| a.parse::<IpAddr>().ok()) else { continue };
                let pod = endpoint.pod.as_ref().map(|p| ObjectRef::new(crate::snapshot::objects::Kind::Pod, &slice.meta.namespace, p));
                entrances.push(Entrance { tls, address: SocketAddr::new(ip, number), pod });
            }
        }
    }
    entrances.sort();
    entrances.dedup();
    entrances
}

//! The gateway of a route: found from its class' controller, its status address, Services and pods.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::landmarks;
use crate::api::ANNOTATION_GATEWAY;
use crate::fact::Fact;
use crate::snapshot::Snapshot;
use crate::snapshot::objects::{
    EndpointSlice, Ingress, IngressClass, Key, Kind, ObjectRef, Pod, Service, ServicePort, ServiceType, Text, Transport,
};
pub use crate::snapshot::software::Implementation;
use crate::snapshot::software::{Software, image_name};

/// What answers the client for a route.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Which software it is.
    pub implementation: Implementation,
    /// The Service in front of it; of a gateway container, its name and the ports of its listeners in the shape of a Service.
    pub service: Arc<Service>,
    /// Its pods, ready or not.
    pub pods: Vec<Arc<Pod>>,
    /// Addresses that it can be asked at: its ready pods'; where none is ready and pods run all the same, its Service's own.
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
    /// Name of the Service's port, empty where it has none.
    pub port: String,
}

impl Gateway {
    /// An entrance for plain text or TLS.
    pub fn entrance(&self, tls: bool) -> Option<&Entrance> {
        self.entrances.iter().find(|e| e.tls == tls)
    }

    /// Whether it is asked at its Service's own addresses, since no pod of it is said to be ready.
    pub fn is_asked_at_service(&self) -> bool {
        !self.entrances.is_empty() && self.entrances.iter().all(|e| self.service.cluster_ips.contains(&e.address.ip()))
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
pub fn find(snapshot: &Snapshot, ingress: &Ingress, class: &Fact<Arc<IngressClass>>) -> Fact<Arc<Gateway>> {
    if let Some(named) = named(snapshot, ingress, class.known()) {
        return match snapshot.service(&named) {
            Fact::Known(service) => {
                let mut gateway = describe(snapshot, service, Implementation::Other, "the annotation culprit.dev/gateway");
                // What the pods do not tell, the class may.
                if gateway.implementation == Implementation::Other {
                    gateway.implementation =
                        class.known().map_or_else(Implementation::default, |c| Implementation::named_in(&c.controller));
                }
                Fact::Known(Arc::new(gateway))
            }
            Fact::Absent => Fact::Failed(format!("the annotation {ANNOTATION_GATEWAY} names Service {named}, which does not exist")),
            Fact::NotAsked => Fact::NotAsked,
            Fact::Failed(why) => Fact::Failed(why),
        };
    }
    match class {
        Fact::Known(class) => match landmarks::gateway_of(snapshot, class).or_else(|| by_status_address(snapshot, ingress)) {
            Some(gateway) => Fact::Known(gateway),
            None => unknown(class),
        },
        Fact::Absent => by_status_address(snapshot, ingress).or_else(|| only(snapshot)).map_or(Fact::Absent, Fact::Known),
        Fact::NotAsked => Fact::NotAsked,
        Fact::Failed(why) => Fact::Failed(why.clone()),
    }
}

/// The gateways of these, each once.
pub(super) fn each_once<'g>(snapshot: &Snapshot, gateways: impl Iterator<Item = &'g Arc<Gateway>>) -> Vec<Arc<Gateway>> {
    let keys: BTreeSet<Key> = gateways.map(|g| g.service.meta.key()).collect();
    let services = keys.iter().filter_map(|key| snapshot.service(key).known().cloned());
    services.map(|s| Arc::new(describe(snapshot, s, Implementation::Other, "the class of another Ingress"))).collect()
}

/// The only gateway of the cluster, over all classes.
fn only(snapshot: &Snapshot) -> Option<Arc<Gateway>> {
    let [only] = <[Arc<Gateway>; 1]>::try_from(landmarks::gateways(snapshot)).ok()?;
    Some(Arc::new(Gateway { found_by: "the only gateway of the cluster", ..(*only).clone() }))
}

fn unknown(class: &IngressClass) -> Fact<Arc<Gateway>> {
    Fact::Failed(format!(
        "no Service in front of the controller {} of class {} was found; name it with the annotation {ANNOTATION_GATEWAY}: namespace/service",
        class.controller, class.meta.name
    ))
}

/// The Service that the annotation `culprit.dev/gateway` of the Ingress, its class or its namespace names.
pub fn named(snapshot: &Snapshot, ingress: &Ingress, class: Option<&Arc<IngressClass>>) -> Option<Key> {
    let namespace = snapshot.namespace(&ingress.meta.namespace);
    let metas = [Some(&ingress.meta), class.map(|c| &c.meta), namespace.known().map(|n| &n.meta)];
    // A name alone is one beside the Ingress, wherever the annotation stands.
    let named = metas.into_iter().flatten().find_map(crate::snapshot::objects::Meta::gateway)?;
    Some(if named.namespace.is_empty() { Key { namespace: ingress.meta.namespace.clone(), ..named } } else { named })
}

fn by_status_address(snapshot: &Snapshot, ingress: &Ingress) -> Option<Arc<Gateway>> {
    let in_its_own_way = |address: &String| address.parse::<IpAddr>().map_or_else(|_| address.clone(), |ip| ip.to_string());
    let at = ingress.addresses.iter().flat_map(|a| snapshot.services_at(a).iter().chain(snapshot.services_at(&in_its_own_way(a))));
    let service = at.filter(|s| faces_clients(s)).min_by_key(|s| s.meta.key())?;
    Some(Arc::new(describe(snapshot, service.clone(), Implementation::Other, "the Ingress' status address")))
}

/// The gateways of all classes, each once.
pub fn all(snapshot: &Snapshot) -> Vec<Arc<Gateway>> {
    landmarks::gateways(snapshot)
}

/// The pods that seem to run a class' controller.
pub fn controller_pods<'s>(snapshot: &'s Snapshot, class: &IngressClass) -> &'s [Arc<Pod>] {
    snapshot.pods_of_controller(&class.meta.name)
}

/// A pod whose image is that of known gateway software, of whatever class.
pub fn any_gateway_pod(snapshot: &Snapshot) -> Option<&Arc<Pod>> {
    snapshot.gateway_pods().first()
}

/// The namespaces whose Services and pods decide which gateway a class has, beside Services that are named after its software.
pub(super) fn decisive_namespaces(snapshot: &Snapshot, class: &IngressClass) -> BTreeSet<Text> {
    let pods = controller_pods(snapshot, class);
    let published = pods.iter().filter_map(|p| Some(published(p)?.namespace));
    pods.iter().map(|p| p.meta.namespace.clone()).chain(published).collect()
}

/// The gateway that a class' controller runs: what its pods say they publish, else the Service in front of them.
pub(super) fn of_class(snapshot: &Snapshot, class: &IngressClass) -> Option<Gateway> {
    let implementation = Implementation::named_in(&class.controller);
    let software = Software::of(class);
    let pods = controller_pods(snapshot, class);
    if let Some(service) = pods.iter().find_map(|p| published_service(snapshot, p)) {
        return Some(describe(snapshot, service, implementation, "what its pods publish"));
    }
    let in_front = pods.iter().flat_map(|p| snapshot.services_selecting(p)).filter(|s| faces_clients(s));
    if let Some(service) = in_front.max_by_key(|s| (exposure(s), std::cmp::Reverse(s.meta.key()))) {
        return Some(describe(snapshot, service.clone(), implementation, "the Service in front of the controller's pods"));
    }
    // Without pods the names are all that is left: a gateway whose pods are gone still has its Service.
    let by_name = snapshot.services().filter(|s| faces_clients(s) && software.names(s));
    let service = by_name.max_by_key(|s| (exposure(s), std::cmp::Reverse(s.meta.key())))?;
    Some(describe(snapshot, service.clone(), implementation, "the name of its Service"))
}

/// The Service that a controller is told to publish: Traefik's `publishedservice=ns/name`, ingress-nginx' and HAProxy's `publish-service=ns/name`.
fn published_service(snapshot: &Snapshot, pod: &Pod) -> Option<Arc<Service>> {
    snapshot.service(&published(pod)?).known().cloned()
}

fn published(pod: &Pod) -> Option<Key> {
    let arguments = pod.containers.iter().flat_map(|c| &c.args);
    let value = arguments
        .filter_map(|a| a.split_once('='))
        .find(|(flag, _)| {
            let flag = flag.to_ascii_lowercase();
            flag.ends_with("publishedservice") || flag.ends_with("publish-service")
        })
        .map(|(_, value)| value.replace("$(POD_NAMESPACE)", &pod.meta.namespace))?;
    let (namespace, name) = value.split_once('/')?;
    Some(Key::new(namespace, name))
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
    let selected = match &service.selector {
        Some(selector) if !selector.is_empty() => snapshot.pods_labelled(&service.meta.namespace, selector),
        _ => Fact::Absent,
    };
    let seen = matches!(selected, Fact::Known(_) | Fact::Absent);
    let pods: Vec<Arc<Pod>> = selected.known().into_iter().flatten().filter(|p| !p.has_ended()).cloned().collect();
    let may_run = !seen || pods.iter().any(|p| p.runs());
    let implementation = match implementation {
        Implementation::Other => {
            let containers = || pods.iter().flat_map(|p| &p.containers);
            let images = containers().map(|c| Implementation::named_in(image_name(&c.image)));
            // An image that holds many programs is told which one to run.
            let programs = containers().filter_map(|c| c.args.first()).map(|a| Implementation::named_in(image_name(a)));
            images.chain(programs).find(|i| *i != Implementation::Other).unwrap_or_default()
        }
        known => known,
    };
    let (entrances, entrances_unknown) = match snapshot.slices_of(&key) {
        Fact::Known(slices) => (entrances_of(&slices, &service, may_run), None),
        other => {
            (Vec::new(), Some(format!("the gateway's EndpointSlices could not be looked up: {}", other.why_unknown().unwrap_or("absent"))))
        }
    };
    Gateway { implementation, service, pods, entrances, entrances_unknown, found_by }
}

/// Its ready addresses. What its slices say may be behind, as after an API server was away: where they list none that is ready and its
/// pods run, the Service itself is asked, as clients do.
fn entrances_of(slices: &[Arc<EndpointSlice>], service: &Service, may_run: bool) -> Vec<Entrance> {
    let lists_ready = slices.iter().flat_map(|s| &s.endpoints).any(|e| e.ready.unwrap_or(true));
    if !lists_ready && may_run { own_entrances(service) } else { entrances(slices, service) }
}

fn own_entrances(service: &Service) -> Vec<Entrance> {
    let ports = service.ports.iter().filter_map(|p| Some((p, port_use(p)?)));
    let at = |(port, tls): (&ServicePort, bool)| {
        let address = SocketAddr::new(*service.cluster_ips.first()?, port.port);
        Some(Entrance { tls, address, pod: None, port: port.name.clone().unwrap_or_default() })
    };
    ports.filter_map(at).collect()
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
                let Some(ip) = endpoint.ip else { continue };
                let pod = endpoint.pod.as_ref().map(|p| ObjectRef::new(Kind::Pod, &slice.meta.namespace, p));
                entrances.push(Entrance { tls, address: SocketAddr::new(ip, number), pod, port: port.name.clone().unwrap_or_default() });
            }
        }
    }
    entrances.sort();
    entrances.dedup();
    entrances
}

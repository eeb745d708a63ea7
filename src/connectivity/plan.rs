//! What a round of a check asks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::{mesh, select};
use crate::api::{ConnectivityCheckSpec, Destination, FailingPair, Source};
use crate::path::{dns, landmarks};
use crate::probe::PodRef;
use crate::snapshot::Snapshot;
use crate::snapshot::objects::{Key, Pod, Text, Transport};

/// Pods that ask, and pods that are asked, at most; a sample with one of every node first.
const SOURCES: usize = 8;
const DESTINATIONS: usize = 16;
/// Pods that ask for names, at most.
const RESOLVERS: usize = 16;
/// The port at which agents let each other connect.
pub const ECHO: u16 = 7380;

/// Where a check stands, and where Culprit's own pods do.
#[derive(Clone, Copy, Debug)]
pub struct Where<'a> {
    /// Namespace of the check.
    pub check: &'a str,
    /// Namespace of the controller, whose checks may ask from nodes.
    pub controller: &'a str,
    /// Namespace of the agents.
    pub agents: &'a str,
}

/// A pod that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The pod.
    pub pod: PodRef,
    /// Its node.
    pub node: Text,
    /// How the status names it.
    pub name: String,
    /// The pod as it is declared, for policies.
    pub declared: Arc<Pod>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// How the status names it.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// The pod, where it is one.
    pub pod: Option<Arc<Pod>>,
}

/// Where something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// At an address.
    Socket(SocketAddr),
    /// At whatever addresses a name has for who asks.
    Host {
        /// The name.
        name: String,
        /// The port.
        port: u16,
    },
}

/// One who asks and one who is asked, as numbers of places and spots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// Number of the place.
    pub from: usize,
    /// Number of the spot.
    pub to: usize,
}

/// A replica of the cluster's DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its pod, or its address where the pod is not known.
    pub name: String,
    /// Where it answers.
    pub address: SocketAddr,
}

/// What a round asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Who asks.
    pub places: Vec<Place>,
    /// Who is asked.
    pub spots: Vec<Spot>,
    /// Who asks whom.
    pub pairs: Vec<Pair>,
    /// Names that are to resolve.
    pub names: Vec<String>,
    /// The places that ask for names.
    pub resolvers: usize,
    /// Whom they ask for names.
    pub replicas: Vec<Replica>,
}

/// Why a check cannot be asked as it is written. A condition, never a verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// A selector matches nothing.
    #[error("{field} matches no {what}")]
    Nothing {
        /// Path of the field.
        field: &'static str,
        /// What it should match.
        what: String,
    },
    /// Nodes are not for everybody.
    #[error("{field} is only for checks in namespace {namespace}, since agents stand outside of every other")]
    NotHere {
        /// Path of the field.
        field: &'static str,
        /// Where it is allowed.
        namespace: String,
    },
    /// The Service does not exist, or has no such port.
    #[error("{0}")]
    Service(String),
    /// The rules of safety forbid it.
    #[error("{0}, which is never probed")]
    Forbidden(String),
    /// What selects is not known yet.
    #[error("{0}")]
    Unknown(String),
    /// No agent runs.
    #[error("no agent runs; install Culprit with agents")]
    NoAgents,
    /// The spec lacks what the API server demands.
    #[error("{0}")]
    Spec(&'static str),
}

impl Plan {
    /// Asks pairs that failed before once more, whether or not it is their turn: an outage is over where the pair works again, not where nobody asks.
    pub fn ask_again(&mut self, failing: &[FailingPair]) {
        for pair in failing {
            let from = self.places.iter().position(|p| p.name == pair.from);
            let to = self.spots.iter().position(|s| s.name == pair.to);
            if let (Some(from), Some(to)) = (from, to)
                && !self.pairs.contains(&Pair { from, to })
            {
                self.pairs.push(Pair { from, to });
            }
        }
    }
}

/// Works out a round. Pairs of nodes change from round to round where nodes are many.
pub fn plan(snapshot: &Snapshot, place: &Where<'_>, spec: &ConnectivityCheckSpec, round: u64) -> Result<Plan, Rejected> {
    let to = spec.to.as_ref();
    let selectors =
        [spec.from.pods.as_ref(), spec.from.nodes.as_ref(), to.and_then(|t| t.pods.as_ref()), to.and_then(|t| t.nodes.as_ref())];
    if !selectors.into_iter().flatten().all(select::is_understood) {
        return Err(Rejected::Spec("the operator of a selector is one of In, NotIn, Exists and DoesNotExist"));
    }
    let places = places(snapshot, place, &spec.from)?;
    let mesh = spec.from.nodes.is_some() && to.is_some_and(|to| to.nodes.is_some());
    let spots = match to {
        Some(to) => spots(snapshot, place, to, spec.port)?,
        None => Vec::new(),
    };
    let pairs = if mesh { between_nodes(&places, &spots, round) } else { everyone(&places, &spots) };
    let names = spec.dns.clone().unwrap_or_default();
    let replicas = if names.is_empty() { Vec::new() } else { replicas(snapshot) };
    if !names.is_empty() && replicas.is_empty() {
        return Err(Rejected::Nothing { field: "spec.dns", what: "replica of the cluster's DNS to ask".into() });
    }
    let resolvers = if names.is_empty() { 0 } else { places.len().min(RESOLVERS) };
    Ok(Plan { places, spots, pairs, names, resolvers, replicas })
}

fn everyone(places: &[Place], spots: &[Spot]) -> Vec<Pair> {
    let all = (0..places.len()).flat_map(|from| (0..spots.len()).map(move |to| Pair { from, to }));
    // A pod is not asked whether it reaches itself.
    all.filter(|p| spots[p.to].pod.as_ref().is_none_or(|pod| pod.meta.uid != places[p.from].declared.meta.uid)).collect()
}

/// The links of the round, over the nodes that ask and are asked both.
fn between_nodes(places: &[Place], spots: &[Spot], round: u64) -> Vec<Pair> {
    let both: Vec<Pair> = places
        .iter()
        .enumerate()
        .filter_map(|(from, place)| {
            let to = spots.iter().position(|s| s.pod.as_ref().is_some_and(|p| p.meta.uid == place.declared.meta.uid))?;
            Some(Pair { from, to })
        })
        .collect();
    if both.len() == places.len() && both.len() == spots.len() {
        return mesh::links(both.len(), round).into_iter().map(|(a, b)| Pair { from: both[a].from, to: both[b].to }).collect();
    }
    // Some ask others: as many as one node of a mesh would.
    let most = if spots.len() <= mesh::FULL_MESH { spots.len() } else { 1 + mesh::CHORDS };
    let first = usize::try_from(round % spots.len().max(1) as u64).unwrap_or(0);
    let all = (0..places.len()).flat_map(|from| (0..most).map(move |n| Pair { from, to: (first + from + n) % spots.len() }));
    all.filter(|p| spots[p.to].pod.as_ref().is_none_or(|pod| pod.meta.uid != places[p.from].declared.meta.uid)).collect()
}

fn places(snapshot: &Snapshot, place: &Where<'_>, from: &Source) -> Result<Vec<Place>, Rejected> {
    let pods = match (&from.pods, &from.nodes) {
        (Some(selector), None) => {
            let mut pods = select::pods(snapshot, place.check, selector);
            pods.truncate(SOURCES);
            non_empty(pods, "spec.from.pods", format!("running pod of namespace {}", place.check))?
        }
        (None, Some(selector)) => nodes(snapshot, place, selector, "spec.from.nodes")?,
        _ => return Err(Rejected::Spec("from takes either pods or nodes")),
    };
    let by_node = from.nodes.is_some();
    Ok(pods
        .into_iter()
        .filter_map(|pod| Some(Place { name: name_of(&pod, by_node), node: pod.node.clone()?, pod: PodRef::of(&pod), declared: pod }))
        .collect())
}

fn spots(snapshot: &Snapshot, place: &Where<'_>, to: &Destination, port: Option<u16>) -> Result<Vec<Spot>, Rejected> {
    let port = || port.ok_or(Rejected::Spec("port is needed where to names pods, a Service or a host"));
    if let Some(selector) = &to.nodes {
        let pods = nodes(snapshot, place, selector, "spec.to.nodes")?;
        return Ok(pods.into_iter().flat_map(|pod| of_pod(&pod, ECHO, true)).collect());
    }
    if let Some(selector) = &to.pods {
        let mut pods = select::pods(snapshot, place.check, selector);
        pods.truncate(DESTINATIONS);
        let pods = non_empty(pods, "spec.to.pods", format!("running pod of namespace {}", place.check))?;
        let port = port()?;
        if let Some(pod) = pods.iter().find(|p| p.host_network) {
            return Err(Rejected::Forbidden(format!("{} has the address of its node", pod.reference())));
        }
        return Ok(pods.iter().flat_map(|pod| of_pod(pod, port, false)).collect());
    }
    if let Some(service) = &to.service {
        let key = Key::new(service.namespace.as_deref().unwrap_or(place.check), &service.name);
        return of_service(snapshot, &key, port()?);
    }
    match &to.host {
        Some(host) => {
            let port = port()?;
            Ok(vec![Spot { name: format!("{host}:{port}"), address: Address::Host { name: host.clone(), port }, pod: None }])
        }
        None => Err(Rejected::Spec("to takes exactly one of pods, service, nodes and host")),
    }
}

fn nodes(
    snapshot: &Snapshot,
    place: &Where<'_>,
    selector: &k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector,
    field: &'static str,
) -> Result<Vec<Arc<Pod>>, Rejected> {
    if place.check != place.controller {
        return Err(Rejected::NotHere { field, namespace: place.controller.to_owned() });
    }
    if snapshot.pods_in(place.agents).next().is_none() {
        return Err(Rejected::NoAgents);
    }
    non_empty(select::agents(snapshot, place, selector), field, "node with an agent".into())
}

fn non_empty<T>(found: Vec<T>, field: &'static str, what: String) -> Result<Vec<T>, Rejected> {
    if found.is_empty() { Err(Rejected::Nothing { field, what }) } else { Ok(found) }
}

/// A pod at each of its addresses: both families, where it has both.
fn of_pod(pod: &Arc<Pod>, port: u16, by_node: bool) -> Vec<Spot> {
    let several = pod.ips.len() > 1;
    let name = name_of(pod, by_node);
    let spot = |ip: &IpAddr| Spot {
        name: if several { format!("{name} ({ip})") } else { name.clone() },
        address: Address::Socket(SocketAddr::new(*ip, port)),
        pod: Some(pod.clone()),
    };
    pod.ips.iter().map(spot).collect()
}

fn of_service(snapshot: &Snapshot, key: &Key, port: u16) -> Result<Vec<Spot>, Rejected> {
    let service = snapshot.service(key);
    if let Some(why) = service.why_unknown() {
        return Err(Rejected::Unknown(format!("Service {key}: {why}")));
    }
    let Some(service) = service.known() else { return Err(Rejected::Service(format!("Service {key} does not exist"))) };
    if !service.ports.iter().any(|p| p.port == port && p.transport == Transport::Tcp) {
        return Err(Rejected::Service(format!("Service {key} has no TCP port {port}")));
    }
    let Some(ip) = service.cluster_ips.first().copied() else {
        return Err(Rejected::Service(format!("Service {key} has no address of its own; name its pods instead")));
    };
    if landmarks::is_api_server(snapshot, ip) {
        return Err(Rejected::Forbidden(format!("Service {key} is the API server")));
    }
    Ok(vec![Spot { name: format!("Service {key}"), address: Address::Socket(SocketAddr::new(ip, port)), pod: None }])
}

fn replicas(snapshot: &Snapshot) -> Vec<Replica> {
    let named = |address: SocketAddr| {
        let pods = snapshot.pods_at(address.ip());
        let name = pods.known().and_then(|p| p.first()).map_or_else(|| address.ip().to_string(), |p| p.meta.name.to_string());
        Replica { name, address }
    };
    dns::servers(snapshot).into_iter().map(named).collect()
}

fn name_of(pod: &Pod, by_node: bool) -> String {
    match (&pod.node, by_node) {
        (Some(node), true) => format!("node {node}"),
        _ => format!("pod {}", pod.meta.name),
    }
}

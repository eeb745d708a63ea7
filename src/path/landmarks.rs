//! What many routes have in common and is looked up once: the gateways of all classes, and the API server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::gateway::{self, Gateway};
use crate::snapshot::Snapshot;
use crate::snapshot::objects::{IngressClass, Key, Text};

/// What was found in a snapshot as it stands.
#[derive(Debug, Default)]
struct Landmarks {
    by_class: BTreeMap<Text, Arc<Gateway>>,
    /// The gateways of all classes, each once; empty where the classes are not all known.
    all: Vec<Arc<Gateway>>,
    /// Services that classes name as their gateway's.
    named: BTreeSet<Key>,
    api_server: BTreeSet<IpAddr>,
}

fn of(snapshot: &Snapshot) -> Arc<Landmarks> {
    snapshot.derived(|snapshot| {
        let key = Key::new("default", "kubernetes");
        let classes = snapshot.every_class().filter_map(|c| Some((c.meta.name.clone(), Arc::new(gateway::of_class(snapshot, c)?))));
        let by_class: BTreeMap<Text, Arc<Gateway>> = classes.collect();
        let mut namespaces: BTreeSet<Text> = by_class.values().map(|g| g.service.meta.namespace.clone()).collect();
        namespaces.extend(snapshot.every_class().flat_map(|class| gateway::decisive_namespaces(snapshot, class)));
        namespaces.insert(key.namespace.clone());
        let all = if snapshot.classes().known().is_some() { gateway::each_once(snapshot, by_class.values()) } else { Vec::new() };
        let named = snapshot.every_class().filter_map(|c| c.meta.gateway()).collect();
        (Landmarks { all, by_class, named, api_server: api_server(snapshot, &key) }, namespaces)
    })
}

/// The gateway of a class.
pub fn gateway_of(snapshot: &Snapshot, class: &IngressClass) -> Option<Arc<Gateway>> {
    of(snapshot).by_class.get(&class.meta.name).cloned()
}

/// The gateways of all classes, each once.
pub fn gateways(snapshot: &Snapshot) -> Vec<Arc<Gateway>> {
    of(snapshot).all.clone()
}

/// Whether a Service stands in front of the gateway of a class: a change of its pods touches every route.
pub fn is_gateway(snapshot: &Snapshot, service: &Key) -> bool {
    let landmarks = of(snapshot);
    let stands_before = |g: &Arc<Gateway>| g.service.meta.name == service.name && g.service.meta.namespace == service.namespace;
    landmarks.named.contains(service) || landmarks.all.iter().any(stands_before)
}

/// Whether an address is the API server's: its Service's, or one that the Service leads to.
pub fn is_api_server(snapshot: &Snapshot, ip: IpAddr) -> bool {
    of(snapshot).api_server.contains(&ip)
}

fn api_server(snapshot: &Snapshot, key: &Key) -> BTreeSet<IpAddr> {
    let service = snapshot.service(key);
    let own = service.known().into_iter().flat_map(|s| s.cluster_ips.clone());
    let slices = snapshot.slices_of(key).known().cloned().unwrap_or_default();
    let addresses = slices.iter().flat_map(|s| &s.endpoints).flat_map(|e| &e.addresses);
    own.chain(addresses.filter_map(|a| a.parse().ok())).collect()
}

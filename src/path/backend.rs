//! Service, port, endpoints, pods and workloads behind a route.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Backend, Dials, Endpoint, Implementation, Route, scheme};
use crate::fact::Fact;
use crate::snapshot::Snapshot;
use crate::snapshot::objects::{
    EndpointSlice, Ingress, Key, Kind, Pod, PortRef, Service, ServicePort, SliceEndpoint, SlicePort, Text, Transport, Workload,
};

/// Resolves what a route leads to.
pub fn resolve(snapshot: &Snapshot, route: &Route, ingress: Option<&Arc<Ingress>>, gateway: Implementation) -> Backend {
    let service = match &route.service {
        Some(key) => snapshot.service(key),
        None => Fact::NotAsked,
    };
    let port = service.as_ref().and_then(|s| port_of(s, route.port.as_ref()));
    let slices = match &route.service {
        Some(key) => snapshot.slices_of(key),
        None => Fact::NotAsked,
    };
    let pods = service.as_ref().and_then(|s| pods_of(snapshot, s));
    let endpoints = match (&slices, &port) {
        (Fact::Known(slices), Fact::Known(port)) => endpoints_of(snapshot, slices, port, pods.known().map_or(&[], Vec::as_slice)),
        _ => Vec::new(),
    };
    let workloads = service.known().map_or_else(Vec::new, |s| workloads_of(snapshot, s));
    let (spoken, scheme_from) = scheme::spoken(gateway, ingress.map(AsRef::as_ref), service.known().map(AsRef::as_ref), port.known());
    let policies = snapshot.policies_in(&route.target.key.namespace);
    Backend { service, port, slices, endpoints, pods, workloads, scheme: spoken, scheme_from, policies, dials: Dials::default() }
}

/// The port of a Service that a backend names: by number or by name.
fn port_of(service: &Service, wanted: Option<&PortRef>) -> Fact<ServicePort> {
    let found = match wanted {
        // One number may stand for TCP and UDP; HTTP/3 Services have both.
        Some(PortRef::Number(number)) => {
            let of_number = || service.ports.iter().filter(|p| p.port == *number);
            of_number().find(|p| p.transport == Transport::Tcp).or_else(|| of_number().next())
        }
        Some(PortRef::Name(name)) => service.ports.iter().find(|p| p.name.as_ref() == Some(name)),
        None => service.ports.first(),
    };
    found.cloned().map_or(Fact::Absent, Fact::Known)
}

/// The endpoints of a Service port. Slices are matched by the port's name, as gateways and kube-proxy do.
/// The pods that the Service selects are at hand for them; others are looked up.
fn endpoints_of(snapshot: &Snapshot, slices: &[Arc<EndpointSlice>], port: &ServicePort, selected: &[Arc<Pod>]) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::with_capacity(slices.iter().map(|s| s.endpoints.len()).sum());
    for slice in slices {
        let slice_port = slice_port(slice, port);
        for endpoint in &slice.endpoints {
            let Some(address) = endpoint.ip else { continue };
            endpoints.push(resolve_endpoint(snapshot, slice, endpoint, address, slice_port.and_then(|p| p.port), selected));
        }
    }
    // Stable, so that of one address in two slices the first slice counts; it is ready where one of them says so.
    endpoints.sort_by_key(|e| (e.address, e.port));
    endpoints.dedup_by(|again, first| {
        let same = (again.address, again.port) == (first.address, first.port);
        first.ready |= same && again.ready;
        same
    });
    endpoints
}

fn slice_port<'a>(slice: &'a EndpointSlice, port: &ServicePort) -> Option<&'a SlicePort> {
    let same_name = |p: &SlicePort| p.name.as_deref().unwrap_or_default() == port.name.as_deref().unwrap_or_default();
    slice.ports.iter().find(|p| same_name(p) && p.transport == Transport::Tcp)
}

fn resolve_endpoint(
    snapshot: &Snapshot,
    slice: &EndpointSlice,
    endpoint: &SliceEndpoint,
    address: IpAddr,
    port: Option<u16>,
    selected: &[Arc<Pod>],
) -> Endpoint {
    let at_hand = |name: &Text| {
        let found = match selected.len() {
            0..=8 => selected.iter().find(|p| p.meta.name == *name),
            // They are of one namespace, in order of their names.
            _ => selected.binary_search_by(|p| p.meta.name.cmp(name)).ok().map(|at| &selected[at]),
        };
        found.filter(|p| p.meta.namespace == slice.meta.namespace)
    };
    let pod = match &endpoint.pod {
        Some(name) if let Some(pod) = at_hand(name) => Fact::Known(pod.clone()),
        Some(name) => snapshot.pod(&Key { namespace: slice.meta.namespace.clone(), name: name.clone() }),
        None => snapshot.pods_at(address).and_then(|pods| pods.first().cloned().map_or(Fact::Absent, Fact::Known)),
    };
    Endpoint {
        address,
        port,
        ready: endpoint.ready.unwrap_or(true),
        terminating: endpoint.terminating.unwrap_or(false),
        node: endpoint.node.clone(),
        pod,
        container: None,
        slice: slice.meta.key(),
    }
}

/// Pods under the Service's selector that have not ended: finished Job pods are no backends.
fn pods_of(snapshot: &Snapshot, service: &Service) -> Fact<Vec<Arc<Pod>>> {
    match &service.selector {
        Some(selector) if !selector.is_empty() => {
            snapshot.pods_labelled(&service.meta.namespace, selector).map(|pods| pods.into_iter().filter(|p| !p.has_ended()).collect())
        }
        _ => Fact::Absent,
    }
}

/// Workloads that would make pods under the Service's selector. A ReplicaSet of a Deployment is left out: the Deployment speaks for it.
fn workloads_of(snapshot: &Snapshot, service: &Service) -> Vec<Arc<Workload>> {
    let Some(selector) = service.selector.as_ref().filter(|s| !s.is_empty()) else { return Vec::new() };
    let owned = |w: &Workload| w.kind == Kind::ReplicaSet && w.meta.owner.is_some();
    snapshot.workloads_labelled(&service.meta.namespace, selector).into_iter().filter(|w| w.kind != Kind::Job && !owned(w)).collect()
}

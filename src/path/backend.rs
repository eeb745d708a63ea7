//! Service, port, endpoints, pods and workloads behind a route.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Backend, Endpoint, Implementation, Route, scheme};
use crate::fact::Fact;
use crate::snapshot::Snapshot;
use crate::snapshot::objects::{
    EndpointSlice, Ingress, Key, Kind, Pod, PortRef, Service, ServicePort, SliceEndpoint, SlicePort, Transport, Workload, is_subset,
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
    let endpoints = match (&slices, &port) {
        (Fact::Known(slices), Fact::Known(port)) => endpoints_of(snapshot, slices, port),
        _ => Vec::new(),
    };
    let pods = service.as_ref().and_then(|s| pods_of(snapshot, s));
    let workloads = service.known().map_or_else(Vec::new, |s| workloads_of(snapshot, s));
    let (spoken, scheme_from) = scheme::spoken(gateway, ingress.map(AsRef::as_ref), service.known().map(AsRef::as_ref), port.known());
    let policies = snapshot.policies_in(&route.target.key.namespace);
    Backend { service, port, slices, endpoints, pods, workloads, scheme: spoken, scheme_from, policies }
}

/// The port of a Service that a backend names: by number or by name.
fn port_of(service: &Service, wanted: Option<&PortRef>) -> Fact<ServicePort> {
    let found = match wanted {
        Some(PortRef::Number(number)) => service.ports.iter().find(|p| p.port == *number),
        Some(PortRef::Name(name)) => service.ports.iter().find(|p| p.name.as_ref() == Some(name)),
        None => service.ports.first(),
    };
    found.cloned().map_or(Fact::Absent, Fact::Known)
}

/// The endpoints of a Service port. Slices are matched by the port's name, as gateways and kube-proxy do.
fn endpoints_of(snapshot: &Snapshot, slices: &[Arc<EndpointSlice>], port: &ServicePort) -> Vec<Endpoint> {
    let mut by_address: BTreeMap<(IpAddr, Option<u16>), Endpoint> = BTreeMap::new();
    for slice in slices {
        let slice_port = slice_port(slice, port);
        for endpoint in &slice.endpoints {
            let Some(address) = endpoint.addresses.first().and_then(|a| a.parse::<IpAddr>().ok()) else { continue };
            let resolved = resolve_endpoint(snapshot, slice, endpoint, address, slice_port.and_then(|p| p.port));
            // The same address in two slices counts as ready where one of them says so.
            let known = by_address.entry((address, resolved.port)).or_insert_with(|| resolved.clone());
            known.ready |= resolved.ready;
        }
    }
    by_address.into_values().collect()
}

fn slice_port<'a>(slice: &'a EndpointSlice, port: &ServicePort) -> Option<&'a SlicePort> {
    let name = |n: &Option<String>| n.clone().unwrap_or_default();
    slice.ports.iter().find(|p| name(&p.name) == name(&port.name) && p.transport == Transport::Tcp)
}

fn resolve_endpoint(snapshot: &Snapshot, slice: &EndpointSlice, endpoint: &SliceEndpoint, address: IpAddr, port: Option<u16>) -> Endpoint {
    let pod = match &endpoint.pod {
        Some(name) => snapshot.pod(&Key::new(&slice.meta.namespace, name)),
        None => snapshot.pods_at(address).and_then(|pods| pods.first().cloned().map_or(Fact::Absent, Fact::Known)),
    };
    Endpoint {
        address,
        port,
        ready: endpoint.ready.unwrap_or(true),
        terminating: endpoint.terminating.unwrap_or(false),
        node: endpoint.node.clone(),
        pod,
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
    snapshot
        .workloads_in(&service.meta.namespace)
        .filter(|w| w.kind != Kind::Job && !owned(w) && is_subset(selector, &w.template_labels))
        .cloned()
        .collect()
}

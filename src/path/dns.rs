//! The cluster's own DNS servers.

use std::net::{IpAddr, SocketAddr};

use crate::snapshot::Snapshot;
use crate::snapshot::objects::{Service, Transport};

/// The DNS servers of the cluster: the ready endpoints of its DNS Service, in order.
///
/// The Service carries the label `k8s-app: kube-dns` or the name `kube-dns` in `kube-system`, whatever software stands behind it
/// (Kubernetes documentation, "DNS for Services and Pods").
pub fn servers(snapshot: &Snapshot) -> Vec<SocketAddr> {
    let is_dns = |s: &&std::sync::Arc<Service>| {
        s.meta.labels.get("k8s-app").is_some_and(|v| v == "kube-dns") || matches!(s.meta.name.as_str(), "kube-dns" | "coredns")
    };
    let services = snapshot.services_in("kube-system").filter(is_dns).map(|s| s.meta.key()).collect::<Vec<_>>();
    let slices = services.iter().filter_map(|key| snapshot.slices_of(key).known().cloned()).flatten();
    let mut servers: Vec<SocketAddr> = slices
        .flat_map(|slice| {
            let port = slice.ports.iter().find(|p| p.transport == Transport::Udp).and_then(|p| p.port);
            let ready = slice.endpoints.iter().filter(|e| e.ready.unwrap_or(true));
            let addresses: Vec<IpAddr> = ready.filter_map(|e| e.addresses.first()?.parse().ok()).collect();
            addresses.into_iter().filter_map(move |ip| Some(SocketAddr::new(ip, port?)))
        })
        .collect();
    servers.sort();
    servers.dedup();
    servers
}

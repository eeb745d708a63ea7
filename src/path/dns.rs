//! The cluster's own DNS servers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::snapshot::Snapshot;
pub use crate::snapshot::objects::service_named;
use crate::snapshot::objects::{Key, Service, Transport};

/// The DNS servers of the cluster: the ready endpoints of its DNS Service, in order.
///
/// The Service carries the label `k8s-app: kube-dns` or the name `kube-dns` in `kube-system`, whatever software stands behind it
/// (Kubernetes documentation, "DNS for Services and Pods").
pub fn servers(snapshot: &Snapshot) -> Vec<SocketAddr> {
    let slices = services(snapshot).filter_map(|s| snapshot.slices_of(&s.meta.key()).known().cloned()).flatten();
    let mut servers: Vec<SocketAddr> = slices
        .flat_map(|slice| {
            let port = slice.ports.iter().find(|p| p.transport == Transport::Udp).and_then(|p| p.port);
            let ready = slice.endpoints.iter().filter(|e| e.ready.unwrap_or(true));
            let addresses: Vec<IpAddr> = ready.filter_map(|e| e.ip).collect();
            addresses.into_iter().filter_map(move |ip| Some(SocketAddr::new(ip, port?)))
        })
        .collect();
    servers.sort();
    servers.dedup();
    servers
}

/// The DNS Services of the cluster.
pub fn services(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<Service>> {
    let is_dns = |s: &&Arc<Service>| {
        s.meta.labels.get("k8s-app").is_some_and(|v| v == "kube-dns") || matches!(s.meta.name.as_str(), "kube-dns" | "coredns")
    };
    snapshot.services_in("kube-system").filter(is_dns)
}

/// A name that every cluster's DNS knows, under the domain that clusters have unless they are told otherwise.
pub const KNOWN_NAME: &str = "kubernetes.default.svc.cluster.local";

/// Whether a name belongs to the cluster.
pub fn is_inside(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.ends_with(".cluster.local") || service_named(name).is_some()
}

/// Whether nobody can ever have a name: placeholders of documentation and of tests (RFC 2606, RFC 6761).
pub fn is_placeholder(name: &str) -> bool {
    const RESERVED: &[&str] = &["invalid", "example", "test", "localhost", "example.com", "example.net", "example.org"];
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    RESERVED.iter().any(|r| name.strip_suffix(r).is_some_and(|head| head.is_empty() || head.ends_with('.')))
}

/// The whole names that a resolver in a pod of a namespace makes of a name that is not whole (`ndots:5`, Kubernetes documentation, "DNS for
/// Services and Pods").
pub fn completions(name: &str, namespace: &str) -> Vec<String> {
    if name.ends_with('.') || name.matches('.').count() >= 5 {
        return Vec::new();
    }
    [format!("{namespace}.svc.cluster.local"), "svc.cluster.local".into(), "cluster.local".into()]
        .map(|domain| format!("{name}.{domain}"))
        .into()
}

/// The whole name of a Service, under the domain that clusters have unless they are told otherwise.
pub fn name_of(service: &Key) -> String {
    format!("{}.{}.svc.cluster.local", service.name, service.namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_names_that_nobody_can_have() {
        for name in ["no-such.invalid", "service.example.com.", "example", "Web.Test"] {
            assert!(is_placeholder(name), "{name}");
        }
        for name in ["partner.dev", "myexample.com", "latest.io", "web.shop.svc.cluster.local"] {
            assert!(!is_placeholder(name), "{name}");
        }
    }

    #[test]
    fn a_short_name_is_completed_as_a_pod_does_it() {
        assert_eq!(
            completions("web.shop", "traefik"),
            ["web.shop.traefik.svc.cluster.local", "web.shop.svc.cluster.local", "web.shop.cluster.local"]
        );
        assert!(completions("web.shop.svc.cluster.local.", "traefik").is_empty());
        assert!(completions("a.b.c.d.e.f", "traefik").is_empty());
    }
}

//! One Traefik in front of every route, and the class that it serves.

use serde_json::{Value, json};

use super::world::{meta, service_address};

/// Where the gateway's pod stands.
pub const GATEWAY_ADDRESS: &str = "10.191.255.2";

const LABELS: &str = "app.kubernetes.io/name";

/// Class, namespace, Service, slice, Deployment and pod of the gateway, and the API server's own Service.
pub fn objects() -> Vec<Value> {
    let labels = || json!({LABELS: "traefik", "app.kubernetes.io/instance": "traefik-traefik", "app.kubernetes.io/managed-by": "Helm"});
    let meta = |name: &str| meta("traefik", name, 1, labels(), json!({}));
    let ip = service_address(1);
    let container = json!({
        "name": "traefik", "image": "docker.io/traefik:v3.6", "args": ["--providers.kubernetesingress", "--entrypoints.web.address=:8000/tcp",
            "--providers.kubernetesingress.ingressendpoint.publishedservice=traefik/traefik"],
        "ports": [{"name": "web", "containerPort": 8000, "protocol": "TCP"}],
    });
    let status = json!({"name": "traefik", "ready": true, "restartCount": 0, "image": "docker.io/traefik:v3.6", "imageID": "", "state": {"running": {"startedAt": "2026-03-02T08:15:30Z"}}});
    let mut slice = meta("traefik-8xk2p");
    slice["labels"]["kubernetes.io/service-name"] = json!("traefik");
    let kubernetes = super::world::meta("default", "kubernetes", 1, json!({"component": "apiserver", "provider": "kubernetes"}), json!({}));
    vec![
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": super::world::meta("", "traefik", 1, labels(), json!({
            "ingressclass.kubernetes.io/is-default-class": "true"})), "spec": {"controller": "traefik.io/ingress-controller"}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": super::world::meta("", "internal", 2, json!({}), json!({})),
            "spec": {"controller": "haproxy.org/ingress-controller"}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": super::world::meta("", "traefik", 1, json!({"kubernetes.io/metadata.name": "traefik"}), json!({}))}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": kubernetes, "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
            "ports": [{"name": "https", "port": 443, "targetPort": 6443, "protocol": "TCP"}]}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": meta("traefik"), "spec": {"type": "LoadBalancer", "clusterIP": ip, "clusterIPs": [ip],
            "selector": {LABELS: "traefik"}, "ports": [{"name": "web", "port": 80, "targetPort": "web", "nodePort": 30080, "protocol": "TCP"}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}}}),
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": slice, "addressType": "IPv4",
            "ports": [{"name": "web", "port": 8000, "protocol": "TCP"}],
            "endpoints": [{"addresses": [GATEWAY_ADDRESS], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "namespace": "traefik", "name": "traefik-0"}}]}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("traefik"), "spec": {"replicas": 1, "selector": {"matchLabels": labels()},
            "template": {"metadata": {"labels": labels()}, "spec": {"containers": [container]}}}, "status": {"replicas": 1, "readyReplicas": 1}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta("traefik-0"), "spec": {"nodeName": super::world::node_name(0), "containers": [container]},
            "status": {"phase": "Running", "podIP": GATEWAY_ADDRESS, "podIPs": [{"ip": GATEWAY_ADDRESS}],
                "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [status]}}),
    ]
}

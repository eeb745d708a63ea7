//! Worlds of any size: the objects of a cluster as its API server would give them, all well unless a test changes one.
//!
//! Pure, and the same for the same numbers. Every route has a Service, an EndpointSlice, a Deployment with its ReplicaSets, and pods;
//! one Traefik serves all of them.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::workloads;

/// How large a world is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Ingresses, each with a Service, a slice and a Deployment of its own.
    pub routes: usize,
    /// Pods behind each Service.
    pub pods_per_route: usize,
    /// Namespaces that the routes are spread over.
    pub namespaces: usize,
}

impl Size {
    /// So many routes with three pods each, fifty routes in a namespace.
    pub const fn of(routes: usize) -> Self {
        Size { routes, pods_per_route: 3, namespaces: if routes < 50 { 1 } else { routes / 50 } }
    }

    /// Pods of all routes.
    pub fn pods(&self) -> usize {
        self.routes * self.pods_per_route
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} routes in {} namespaces", self.routes, self.namespaces)
    }
}

/// Pods of one node.
const PODS_PER_NODE: usize = 50;
/// ReplicaSets that a Deployment keeps of earlier rollouts.
const OLD_REPLICA_SETS: usize = 2;
/// Port that every application listens on.
pub const APP_PORT: u16 = 8080;
/// When everything was made.
const MADE: &str = "2026-03-02T08:15:30Z";

/// Every object of a world, kind by kind and in order of their keys, as lists of an API server come.
pub fn objects(size: Size) -> impl Iterator<Item = Value> {
    cluster(size).chain(super::gateway::objects()).chain(of_routes(size))
}

/// Nodes, and namespaces with a policy each.
pub fn cluster(size: Size) -> impl Iterator<Item = Value> {
    let nodes = (0..size.pods().div_ceil(PODS_PER_NODE).max(1)).map(node);
    nodes.chain((0..size.namespaces).flat_map(|n| [namespace(&namespace_of(n)), policy(&namespace_of(n))]))
}

/// What all routes need, kind by kind.
pub fn of_routes(size: Size) -> impl Iterator<Item = Value> {
    let apps = move || (0..size.routes).map(move |number| App::new(size, number));
    let one = apps().map(|app| app.ingress()).chain(apps().map(|app| app.service())).chain(apps().map(|app| app.slice()));
    let deployments = apps().map(|app| workloads::deployment(&app));
    let replica_sets = apps().flat_map(|app| (0..=OLD_REPLICA_SETS).map(move |age| workloads::replica_set(&app, age)));
    let pods = apps().flat_map(|app| (0..app.pods).map(move |pod| workloads::pod(&app, pod)));
    one.chain(deployments).chain(replica_sets).chain(pods)
}

/// One application and the names of all that belongs to it.
#[derive(Clone, Debug)]
pub struct App {
    /// Its number in the world.
    pub number: usize,
    /// Its name: that of Ingress, Service and Deployment.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its pods.
    pub pods: usize,
}

impl App {
    /// The application of a number.
    pub fn new(size: Size, number: usize) -> Self {
        let namespace = namespace_of(number * size.namespaces / size.routes.max(1));
        App { number, name: format!("storefront-{number:05}"), namespace, pods: size.pods_per_route }
    }

    /// Labels as charts write them.
    pub fn labels(&self) -> Value {
        json!({
            "app.kubernetes.io/name": self.name, "app.kubernetes.io/instance": format!("{}-prod", self.name),
            "app.kubernetes.io/version": format!("1.{}.0", self.number % 40), "app.kubernetes.io/component": "web",
            "app.kubernetes.io/part-of": "storefront", "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "storefront-4.2.1",
        })
    }

    /// The labels that Service and Deployment select by.
    pub fn selector(&self) -> Value {
        json!({"app.kubernetes.io/name": self.name, "app.kubernetes.io/instance": format!("{}-prod", self.name)})
    }

    /// The part of its pods' names that stands for the template of an age, 0 the present one.
    pub fn hash(&self, age: usize) -> String {
        format!("{:x}", 0x6d4b_7c99_usize.wrapping_mul(self.number * 7 + age + 1) & 0xff_ffff_ffff)
    }

    /// Name of one of its pods.
    pub fn pod_name(&self, pod: usize) -> String {
        format!("{}-{}-{:05x}", self.name, self.hash(0), (self.number * 31 + pod * 7) & 0xf_ffff)
    }

    /// Address of one of its pods, from 10.128.0.0/10: each its own.
    pub fn pod_address(&self, pod: usize) -> Ipv4Addr {
        let index = u32::try_from(self.number * self.pods + pod).unwrap_or(u32::MAX);
        Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 128, 1, 0)) + index)
    }

    /// The node that one of its pods runs on.
    pub fn node(&self, pod: usize) -> String {
        node_name((self.number * self.pods + pod) / PODS_PER_NODE)
    }

    /// The host that the Ingress serves.
    pub fn host(&self) -> String {
        format!("{}.example.com", self.name)
    }

    /// Its Ingress.
    pub fn ingress(&self) -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": meta(&self.namespace, &self.name, self.number, self.labels(), json!({
                "traefik.ingress.kubernetes.io/router.entrypoints": "web", "cert-manager.io/cluster-issuer": "letsencrypt"})),
            "spec": {"ingressClassName": "traefik", "rules": [{"host": self.host(), "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": self.name, "port": {"name": "http"}}}}]}}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}}
        })
    }

    /// Its Service.
    pub fn service(&self) -> Value {
        let ip = service_address(self.number + 16);
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": meta(&self.namespace, &self.name, self.number, self.labels(), json!({"meta.helm.sh/release-name": self.name})),
            "spec": {"type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                "internalTrafficPolicy": "Cluster", "sessionAffinity": "None", "selector": self.selector(),
                "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]},
            "status": {"loadBalancer": {}}
        })
    }

    /// The slice of its Service.
    pub fn slice(&self) -> Value {
        let endpoint = |pod: usize| {
            json!({
                "addresses": [self.pod_address(pod)], "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": self.node(pod), "zone": "eu-central-1a",
                "targetRef": {"kind": "Pod", "namespace": self.namespace, "name": self.pod_name(pod), "uid": uid(7, self.number * 16 + pod)},
            })
        };
        let mut labels = self.labels();
        labels["kubernetes.io/service-name"] = json!(self.name);
        labels["endpointslice.kubernetes.io/managed-by"] = json!("endpointslice-controller.k8s.io");
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": meta(&self.namespace, &format!("{}-{:05x}", self.name, self.number), self.number, labels, json!({
                "endpoints.kubernetes.io/last-change-trigger-time": MADE})),
            "addressType": "IPv4", "ports": [{"name": "http", "port": APP_PORT, "protocol": "TCP"}],
            "endpoints": (0..self.pods).map(endpoint).collect::<Vec<_>>(),
        })
    }
}

/// Metadata as the API server gives it, managed fields included.
pub fn meta(namespace: &str, name: &str, number: usize, labels: Value, annotations: Value) -> Value {
    let keys = |of: &Value| -> Value {
        of.as_object().into_iter().flatten().map(|(k, _)| (format!("f:{k}"), json!({}))).collect::<serde_json::Map<_, _>>().into()
    };
    let fields = json!({"f:metadata": {"f:labels": keys(&labels), "f:annotations": keys(&annotations)}, "f:spec": {
        "f:ports": {".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}}},
        "f:selector": {}, "f:sessionAffinity": {}, "f:type": {}, "f:template": {"f:spec": {"f:containers": {}, "f:restartPolicy": {}}}}});
    let mut meta = json!({
        "name": name, "uid": uid(name.len(), number), "resourceVersion": (1_000_000 + number).to_string(), "generation": 1,
        "creationTimestamp": MADE, "labels": labels, "annotations": annotations,
        "managedFields": [{"manager": "helm", "operation": "Apply", "apiVersion": "v1", "time": MADE, "fieldsType": "FieldsV1", "fieldsV1": fields}],
    });
    if !namespace.is_empty() {
        meta["namespace"] = json!(namespace);
    }
    meta
}

/// A UID in the form that the API server gives.
pub fn uid(salt: usize, number: usize) -> String {
    format!("{number:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", salt & 0xffff, number & 0xfff, salt & 0xfff, number * 7919)
}

/// The address of a Service by its number, within 10.96.0.0/12.
pub fn service_address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 96, 0, 0)) + u32::try_from(number).unwrap_or(u32::MAX))
}

/// Name of a namespace by its number.
pub fn namespace_of(number: usize) -> String {
    format!("team-{number:03}")
}

/// Name of a node by its number.
pub fn node_name(number: usize) -> String {
    format!("ip-10-0-{}-{}.eu-central-1.compute.internal", number / 250, number % 250)
}

fn namespace(name: &str) -> Value {
    let labels = json!({"kubernetes.io/metadata.name": name, "pod-security.kubernetes.io/enforce": "baseline", "team": name});
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": meta("", name, 1, labels, json!({})), "status": {"phase": "Active"}})
}

/// A policy as most namespaces have one: the gateway may come in, and the namespace's own pods.
fn policy(namespace: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta(namespace, "gateway-and-own", 1, json!({}), json!({})),
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}},
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}}}]}]}
    })
}

fn node(number: usize) -> Value {
    let name = node_name(number);
    let labels = json!({
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "node.kubernetes.io/instance-type": "m6i.2xlarge", "topology.kubernetes.io/region": "eu-central-1",
        "topology.kubernetes.io/zone": format!("eu-central-1{}", ['a', 'b', 'c'][number % 3]),
    });
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": "kubelet reports what it sees of the node and says so at length",
            "lastHeartbeatTime": MADE, "lastTransitionTime": MADE,
        })
    };
    let images: Vec<Value> = (0..30)
        .map(|i| json!({"names": [format!("registry.example.com/team/image-{i}@sha256:{:064x}", i)], "sizeBytes": 100_000_000}))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": meta("", &name, number, labels, json!({"node.alpha.kubernetes.io/ttl": "0"})),
        "spec": {"podCIDR": "10.128.0.0/24", "providerID": format!("aws:///eu-central-1a/i-{number:017x}")},
        "status": {"addresses": [{"type": "InternalIP", "address": format!("10.0.{}.{}", number / 250, number % 250)}, {"type": "Hostname", "address": name}],
            "conditions": [condition("MemoryPressure", "False", "KubeletHasSufficientMemory"), condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID"), condition("Ready", "True", "KubeletReady")],
            "images": images, "nodeInfo": {"architecture": "amd64", "bootID": "", "containerRuntimeVersion": "containerd://2.0", "kernelVersion": "6.8", "kubeProxyVersion": "",
                "kubeletVersion": "v1.35.4", "machineID": "", "operatingSystem": "linux", "osImage": "", "systemUUID": ""}}
    })
}

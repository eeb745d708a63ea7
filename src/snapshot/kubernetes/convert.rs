//! From API objects to the pruned objects of a snapshot. Pure.

mod cluster_policy;
mod event;
mod pod;
mod policy;
mod workload;

use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::wire;
use crate::snapshot::objects::{
    AddressType, Condition, ConditionStatus, EndpointSlice, Ingress, IngressBackend, IngressClass, IngressPath, IngressRule, IngressTls,
    Labels, Meta, Namespace, Node, Object, Owner, PathType, PortRef, Requirement, Selector, Service, ServicePort, ServiceType,
    SliceEndpoint, SlicePort, Text, Transport,
};

/// Makes a snapshot's object of an API object.
pub trait Convert {
    /// The pruned object.
    fn convert(self) -> Object;
}

/// Prefixes of annotations that Culprit or a gateway reads; all others are dropped.
const KEPT_ANNOTATIONS: &[&str] = &[
    "culprit.dev/",
    "kubernetes.io/config.hash",
    "kubernetes.io/ingress.",
    "ingressclass.kubernetes.io/",
    "ingress.kubernetes.io/",
    "traefik.ingress.kubernetes.io/",
    "nginx.ingress.kubernetes.io/",
    "nginx.org/",
    "haproxy.org/",
    "haproxy-ingress.github.io/",
    "projectcontour.io/",
    "prometheus.io/port",
    "deployment.kubernetes.io/revision",
];

fn meta(meta: ObjectMeta) -> Meta {
    let annotations = meta.annotations.unwrap_or_default();
    let owner = meta.owner_references.unwrap_or_default().into_iter().find(|o| o.controller == Some(true));
    Meta {
        namespace: meta.namespace.unwrap_or_default().into(),
        name: meta.name.unwrap_or_default().into(),
        uid: meta.uid.unwrap_or_default().into(),
        labels: meta.labels.unwrap_or_default().into(),
        annotations: annotations.into_iter().filter(|(k, _)| KEPT_ANNOTATIONS.iter().any(|p| k.starts_with(p))).collect(),
        owner: owner.map(|o| Owner { kind: o.kind.into(), name: o.name.into() }),
        created: time(meta.creation_timestamp),
        deleting: meta.deletion_timestamp.is_some(),
        generation: meta.generation.unwrap_or_default(),
    }
}

fn time(time: Option<Time>) -> Option<jiff::Timestamp> {
    time.map(|t| t.0)
}

fn addresses(texts: impl IntoIterator<Item = String>) -> Vec<IpAddr> {
    texts.into_iter().filter_map(|t| t.parse().ok()).collect()
}

fn port_number(number: i32) -> Option<u16> {
    u16::try_from(number).ok().filter(|n| *n != 0)
}

fn port_ref(port: IntOrString) -> Option<PortRef> {
    match port {
        IntOrString::Int(number) => port_number(number).map(PortRef::Number),
        IntOrString::String(name) => Some(name.parse().map_or(PortRef::Name(name), PortRef::Number)),
    }
}

fn transport(protocol: Option<&str>) -> Transport {
    match protocol {
        Some("UDP") => Transport::Udp,
        Some("SCTP") => Transport::Sctp,
        _ => Transport::Tcp,
    }
}

fn condition(condition: wire::Condition) -> Condition {
    Condition {
        condition_type: condition.type_.unwrap_or_default().into(),
        status: condition.status.and_then(|s| s.parse().ok()).unwrap_or(ConditionStatus::Unknown),
        reason: condition.reason.filter(|r| !r.is_empty()),
        message: condition.message.filter(|m| !m.is_empty()),
        since: time(condition.last_transition_time),
    }
}

fn conditions(conditions: Option<Vec<wire::Condition>>) -> Vec<Condition> {
    conditions.unwrap_or_default().into_iter().map(condition).collect()
}

impl From<LabelSelector> for Selector {
    fn from(selector: LabelSelector) -> Self {
        let expressions = selector.match_expressions.unwrap_or_default().into_iter();
        Selector {
            labels: selector.match_labels.unwrap_or_default().into(),
            expressions: expressions
                .filter_map(|e| Some(Requirement { key: e.key, operator: e.operator.parse().ok()?, values: e.values.unwrap_or_default() }))
                .collect(),
        }
    }
}

impl Convert for wire::Ingress {
    fn convert(self) -> Object {
        let spec = self.spec.unwrap_or_default();
        let addresses = self.status.and_then(|s| s.load_balancer).and_then(|l| l.ingress).unwrap_or_default();
        let meta = meta(self.metadata);
        // The annotation is the older form and still read by every controller where the field is not set.
        let class = spec.ingress_class_name.map(Text::from).or_else(|| meta.annotations.get("kubernetes.io/ingress.class").cloned());
        Object::Ingress(Ingress {
            class,
            default_backend: spec.default_backend.map(backend),
            rules: spec.rules.unwrap_or_default().into_iter().map(rule).collect(),
            tls: spec
                .tls
                .unwrap_or_default()
                .into_iter()
                .map(|t| IngressTls { hosts: t.hosts.unwrap_or_default(), secret: t.secret_name })
                .collect(),
            addresses: addresses.into_iter().filter_map(|a| a.ip.or(a.hostname)).collect(),
            meta,
        })
    }
}

fn rule(rule: networking::IngressRule) -> IngressRule {
    let paths = rule.http.map(|h| h.paths).unwrap_or_default().into_iter().map(|p| IngressPath {
        path: p.path.filter(|p| !p.is_empty()).unwrap_or_else(|| "/".into()),
        path_type: match p.path_type.as_str() {
            "Exact" => PathType::Exact,
            "Prefix" => PathType::Prefix,
            _ => PathType::ImplementationSpecific,
        },
        backend: backend(p.backend),
    });
    IngressRule { host: rule.host.filter(|h| !h.is_empty()), paths: paths.collect() }
}

fn backend(backend: networking::IngressBackend) -> IngressBackend {
    match (backend.service, backend.resource) {
        (Some(service), _) => {
            let port = service.port.and_then(|p| p.name.map(PortRef::Name).or_else(|| port_number(p.number?).map(PortRef::Number)));
            // The API asks for one of both; 0 stands for neither and is a port that no Service has.
            IngressBackend::Service { name: service.name.into(), port: port.unwrap_or(PortRef::Number(0)) }
        }
        (None, Some(resource)) => IngressBackend::Resource(format!("{}/{}", resource.kind, resource.name)),
        (None, None) => IngressBackend::Resource("nothing".into()),
    }
}

impl Convert for wire::IngressClass {
    fn convert(self) -> Object {
        let meta = meta(self.metadata);
        let is_default = meta.annotations.get("ingressclass.kubernetes.io/is-default-class").is_some_and(|v| v == "true");
        Object::IngressClass(IngressClass { controller: self.spec.and_then(|s| s.controller).unwrap_or_default(), is_default, meta })
    }
}

impl Convert for wire::Service {
    fn convert(self) -> Object {
        let spec = self.spec.unwrap_or_default();
        let load_balancer = self.status.and_then(|s| s.load_balancer).and_then(|l| l.ingress).unwrap_or_default();
        let headless = spec.cluster_ip.as_deref() == Some("None");
        let cluster_ips = spec.cluster_ips.unwrap_or_else(|| spec.cluster_ip.into_iter().collect());
        Object::Service(Service {
            meta: meta(self.metadata),
            service_type: match spec.type_.as_deref() {
                Some("NodePort") => ServiceType::NodePort,
                Some("LoadBalancer") => ServiceType::LoadBalancer,
                Some("ExternalName") => ServiceType::ExternalName,
                _ => ServiceType::ClusterIP,
            },
            selector: spec.selector.filter(|s| !s.is_empty()).map(Labels::from),
            ports: spec.ports.unwrap_or_default().into_iter().filter_map(service_port).collect(),
            cluster_ips: addresses(cluster_ips),
            headless,
            external_name: spec.external_name,
            publish_not_ready: spec.publish_not_ready_addresses.unwrap_or_default(),
            external_ips: addresses(spec.external_ips.unwrap_or_default()),
            addresses: load_balancer.into_iter().filter_map(|a| a.ip.or(a.hostname)).collect(),
            families: spec.ip_families.unwrap_or_default().iter().map(|f| address_type(f)).collect(),
            load_balancer_class: spec.load_balancer_class,
            internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
            external_local: spec.external_traffic_policy.as_deref() == Some("Local"),
        })
    }
}

fn address_type(text: &str) -> AddressType {
    match text {
        "IPv6" => AddressType::IPv6,
        "FQDN" => AddressType::FQDN,
        _ => AddressType::IPv4,
    }
}

fn service_port(port: core::ServicePort) -> Option<ServicePort> {
    let number = port_number(port.port)?;
    Some(ServicePort {
        name: port.name.filter(|n| !n.is_empty()),
        port: number,
        target: port.target_port.and_then(port_ref).unwrap_or(PortRef::Number(number)),
        node_port: port.node_port.and_then(port_number),
        transport: transport(port.protocol.as_deref()),
        app_protocol: port.app_protocol,
    })
}

impl Convert for wire::EndpointSlice {
    fn convert(self) -> Object {
        let labels = self.metadata.labels.clone().unwrap_or_default();
        Object::EndpointSlice(EndpointSlice {
            service: labels.get("kubernetes.io/service-name").map(Text::from),
            managed_by: labels.get("endpointslice.kubernetes.io/managed-by").map(Text::from),
            // Slices are looked up by their Service, and nothing asks for their other labels.
            meta: Meta { uid: Text::default(), labels: Labels::default(), ..meta(self.metadata) },
            address_type: address_type(&self.address_type),
            ports: self
                .ports
                .unwrap_or_default()
                .into_iter()
                .map(|p| SlicePort {
                    name: p.name.filter(|n| !n.is_empty()),
                    port: p.port.and_then(port_number),
                    transport: transport(p.protocol.as_deref()),
                    app_protocol: p.app_protocol,
                })
                .collect(),
            endpoints: self.endpoints.unwrap_or_default().into_iter().map(slice_endpoint).collect(),
        })
    }
}

fn slice_endpoint(endpoint: discovery::Endpoint) -> SliceEndpoint {
    let conditions = endpoint.conditions.unwrap_or_default();
    let pod = endpoint.target_ref.filter(|r| r.kind.as_deref() == Some("Pod")).and_then(|r| r.name);
    SliceEndpoint {
        ip: endpoint.addresses.first().and_then(|a| a.parse().ok()),
        addresses: endpoint.addresses,
        ready: conditions.ready,
        serving: conditions.serving,
        terminating: conditions.terminating,
        node: endpoint.node_name.map(Text::from),
        pod: pod.map(Text::from),
    }
}

impl Convert for wire::Node {
    fn convert(self) -> Object {
        let status = self.status.unwrap_or_default();
        Object::Node(Node {
            meta: meta(self.metadata),
            addresses: addresses(status.addresses.unwrap_or_default().into_iter().map(|a| a.address)),
            unschedulable: self.spec.and_then(|s| s.unschedulable).unwrap_or_default(),
            conditions: conditions(status.conditions),
        })
    }
}

impl Convert for wire::Namespace {
    fn convert(self) -> Object {
        Object::Namespace(Namespace { meta: meta(self.metadata) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object<K: Convert + serde::de::DeserializeOwned>(yaml: &str) -> Object {
        let value: K = serde_yaml::from_str(yaml).unwrap();
        value.convert()
    }

    #[test]
    fn a_missing_target_port_is_the_service_port() {
        let Object::Service(service) = object::<wire::Service>("metadata: {name: web, namespace: shop}\nspec: {ports: [{port: 80}]}")
        else {
            panic!("not a Service")
        };
        assert_eq!(service.ports[0].target, PortRef::Number(80));
        assert_eq!(service.selector, None);
    }

    #[test]
    fn the_older_class_annotation_counts_where_the_field_is_not_set() {
        let yaml = "metadata: {name: web, namespace: shop, annotations: {kubernetes.io/ingress.class: traefik, other/thing: x}}\nspec: {}";
        let Object::Ingress(ingress) = object::<wire::Ingress>(yaml) else { panic!("not an Ingress") };
        assert_eq!(ingress.class.as_deref(), Some("traefik"));
        assert!(!ingress.meta.annotations.contains_key("other/thing"));
    }

    #[test]
    fn an_endpoint_without_conditions_keeps_that_it_has_none() {
        let yaml = "metadata: {name: a, namespace: b, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\nendpoints: [{addresses: [10.0.0.1]}]";
        let Object::EndpointSlice(slice) = object::<wire::EndpointSlice>(yaml) else { panic!("not a slice") };
        assert_eq!(slice.service.as_deref(), Some("web"));
        assert_eq!(slice.endpoints[0].ready, None);
    }
}

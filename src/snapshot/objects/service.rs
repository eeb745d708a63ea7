//! Services and EndpointSlices.

use std::net::IpAddr;

use super::{Key, Labels, Meta, PortRef, Text, Transport};

/// spec.type of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::Display)]
pub enum ServiceType {
    /// ClusterIP, also headless.
    #[default]
    ClusterIP,
    /// NodePort
    NodePort,
    /// LoadBalancer
    LoadBalancer,
    /// ExternalName
    ExternalName,
}

/// core/v1 Service
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Metadata.
    pub meta: Meta,
    /// spec.type
    pub service_type: ServiceType,
    /// spec.selector; none where endpoints are made by hand.
    pub selector: Option<Labels>,
    /// spec.ports
    pub ports: Vec<ServicePort>,
    /// spec.clusterIPs, without `None`.
    pub cluster_ips: Vec<IpAddr>,
    /// Whether spec.clusterIP is `None`.
    pub headless: bool,
    /// spec.externalName
    pub external_name: Option<String>,
    /// spec.publishNotReadyAddresses
    pub publish_not_ready: bool,
    /// spec.externalIPs
    pub external_ips: Vec<IpAddr>,
    /// Addresses and host names in status.loadBalancer.ingress.
    pub addresses: Vec<String>,
    /// spec.ipFamilies; empty where the source does not say.
    pub families: Vec<AddressType>,
    /// spec.loadBalancerClass
    pub load_balancer_class: Option<String>,
    /// Whether spec.internalTrafficPolicy is `Local`: a node sends to its own endpoints alone.
    pub internal_local: bool,
    /// Whether spec.externalTrafficPolicy is `Local`: a node sends what comes from outside to its own endpoints alone.
    pub external_local: bool,
}

impl Service {
    /// The Service of the cluster that an ExternalName stands for.
    pub fn stands_for(&self) -> Option<Key> {
        self.external_name.as_deref().and_then(service_named)
    }
}

/// The Service that a name inside the cluster stands for: `web.shop.svc`, with or without the cluster's domain
/// (Kubernetes DNS-Based Service Discovery, §2.3).
pub fn service_named(name: &str) -> Option<Key> {
    let mut labels = name.trim_end_matches('.').split('.');
    let (service, namespace, svc) = (labels.next()?, labels.next()?, labels.next()?);
    (svc == "svc" && !service.is_empty() && !namespace.is_empty()).then(|| Key::new(namespace, service))
}

/// One port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name; none only where the Service has one port.
    pub name: Option<String>,
    /// The Service's port.
    pub port: u16,
    /// The pod's port; the API fills in `port` where it is not given.
    pub target: PortRef,
    /// The node port, if any.
    pub node_port: Option<u16>,
    /// Transport.
    pub transport: Transport,
    /// appProtocol
    pub app_protocol: Option<String>,
}

/// Which addresses a slice holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::Display)]
pub enum AddressType {
    /// IPv4
    #[default]
    IPv4,
    /// IPv6
    IPv6,
    /// Host names.
    FQDN,
}

/// discovery.k8s.io/v1 EndpointSlice
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Metadata.
    pub meta: Meta,
    /// The label `kubernetes.io/service-name`.
    pub service: Option<Text>,
    /// The label `endpointslice.kubernetes.io/managed-by`.
    pub managed_by: Option<Text>,
    /// addressType
    pub address_type: AddressType,
    /// ports
    pub ports: Vec<SlicePort>,
    /// endpoints
    pub endpoints: Vec<SliceEndpoint>,
}

/// The value of `managed-by` on slices made from a Service's selector.
pub const SLICE_CONTROLLER: &str = "endpointslice-controller.k8s.io";

/// One port of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlicePort {
    /// Equals the Service port's name; gateways match by it.
    pub name: Option<String>,
    /// The pod's port.
    pub port: Option<u16>,
    /// Transport.
    pub transport: Transport,
    /// appProtocol
    pub app_protocol: Option<String>,
}

/// One endpoint of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// Addresses as written; consumers use the first.
    pub addresses: Vec<String>,
    /// The first of them, where it is an IP address.
    pub ip: Option<IpAddr>,
    /// conditions.ready; none counts as ready for most consumers.
    pub ready: Option<bool>,
    /// conditions.serving
    pub serving: Option<bool>,
    /// conditions.terminating
    pub terminating: Option<bool>,
    /// nodeName
    pub node: Option<Text>,
    /// Name of the pod in targetRef, if it is one.
    pub pod: Option<Text>,
}

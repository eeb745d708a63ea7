//! The objects of a snapshot, pruned to what paths and causes read.
//!
//! They are plain data, made by the sources under `snapshot/` from whatever those read (API objects, manifests, a Docker
//! engine). Fields carry the Kubernetes API's meaning; see the API reference of the kind named in each doc comment.

mod cluster_policy;
pub mod docker;
mod ingress;
mod meta;
mod node;
mod pod;
mod policy;
mod service;
mod workload;

use std::fmt;

pub use super::text::{Labels, Text};
pub use cluster_policy::{Action, ClusterPeer, ClusterPolicy, ClusterRule, Subject, Tier};
pub use ingress::{Ingress, IngressBackend, IngressClass, IngressPath, IngressRule, IngressTls, PathType};
pub use meta::{Condition, ConditionStatus, Meta, Owner, PortRef, Transport};
pub use node::{Namespace, Node};
pub use pod::{Container, ContainerPort, ContainerSpec, ContainerState, Phase, Pod, ProbeAction, ProbeSpec, Termination};
pub use policy::{NetworkPolicy, Operator, PolicyPeer, PolicyPort, PolicyRule, Requirement, Selector, is_subset};
pub use service::{
    AddressType, EndpointSlice, SLICE_CONTROLLER, Service, ServicePort, ServiceType, SliceEndpoint, SlicePort, service_named,
};
pub use workload::{Autoscaler, Event, Strategy, Workload};

/// The kinds that a snapshot holds.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::EnumIter, strum::EnumString, strum::IntoStaticStr,
)]
pub enum Kind {
    /// networking.k8s.io/v1 Ingress
    Ingress,
    /// networking.k8s.io/v1 IngressClass
    IngressClass,
    /// core/v1 Service
    Service,
    /// discovery.k8s.io/v1 EndpointSlice
    EndpointSlice,
    /// core/v1 Pod
    Pod,
    /// core/v1 Node
    Node,
    /// core/v1 Namespace
    Namespace,
    /// networking.k8s.io/v1 NetworkPolicy
    NetworkPolicy,
    /// policy.networking.k8s.io/v1alpha1 AdminNetworkPolicy
    AdminNetworkPolicy,
    /// policy.networking.k8s.io/v1alpha1 BaselineAdminNetworkPolicy
    BaselineAdminNetworkPolicy,
    /// policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy
    ClusterNetworkPolicy,
    /// apps/v1 Deployment
    Deployment,
    /// apps/v1 ReplicaSet
    ReplicaSet,
    /// apps/v1 StatefulSet
    StatefulSet,
    /// apps/v1 DaemonSet
    DaemonSet,
    /// batch/v1 Job
    Job,
    /// autoscaling/v2 HorizontalPodAutoscaler
    HorizontalPodAutoscaler,
    /// core/v1 Event, warnings only
    Event,
    /// A container of a Docker engine
    Container,
    /// A network of a Docker engine
    Network,
}

impl Kind {
    /// Whether objects of this kind live in a namespace.
    pub fn is_namespaced(self) -> bool {
        !matches!(self, Kind::IngressClass | Kind::Node | Kind::Namespace | Kind::Container | Kind::Network) && !self.is_cluster_policy()
    }

    /// The kinds of the Kubernetes API.
    pub fn of_kubernetes() -> impl Iterator<Item = Kind> {
        <Kind as strum::IntoEnumIterator>::iter().filter(|kind| !kind.is_of_docker())
    }

    /// Whether it is a Docker engine's.
    pub fn is_of_docker(self) -> bool {
        matches!(self, Kind::Container | Kind::Network)
    }

    /// Whether objects of this kind are policies of the whole cluster. Not every API server serves them.
    pub fn is_cluster_policy(self) -> bool {
        matches!(self, Kind::AdminNetworkPolicy | Kind::BaselineAdminNetworkPolicy | Kind::ClusterNetworkPolicy)
    }

    /// Whether objects of this kind make pods from a template.
    pub fn is_workload(self) -> bool {
        matches!(self, Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet | Kind::DaemonSet | Kind::Job)
    }
}

/// Names one object within its kind. The namespace is empty for cluster-wide kinds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace, empty for cluster-wide kinds.
    pub namespace: Text,
    /// Name.
    pub name: Text,
}

impl Key {
    /// The key of a namespaced object, or with an empty namespace of a cluster-wide one.
    pub fn new(namespace: &str, name: &str) -> Self {
        Key { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { write!(f, "{}", self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// Names one object of a snapshot; prints as `Service/shop/web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its key within the kind.
    pub key: Key,
}

impl ObjectRef {
    /// Names an object; the namespace is empty for cluster-wide kinds.
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        ObjectRef { kind, key: Key::new(namespace, name) }
    }

    /// What it prints as, made without the formatter's detours: every status holds several.
    pub fn text(&self) -> String {
        let Key { namespace, name } = &self.key;
        match namespace.as_str() {
            "" => [self.kind.into(), "/", name].concat(),
            namespace => [self.kind.into(), "/", namespace, "/", name].concat(),
        }
    }

    /// As kubectl takes it: `deployment/web`.
    pub fn argument(&self) -> String {
        format!("{}/{}", self.kind.to_string().to_lowercase(), self.key.name)
    }

    /// The command that does something to it: `kubectl -n shop edit deployment web`.
    pub fn kubectl(&self, verb: &str) -> String {
        format!("kubectl -n {} {verb} {} {}", self.key.namespace, self.kind.to_string().to_lowercase(), self.key.name)
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.key)
    }
}

/// Any object of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// An Ingress.
    Ingress(Ingress),
    /// An IngressClass.
    IngressClass(IngressClass),
    /// A Service.
    Service(Service),
    /// An EndpointSlice.
    EndpointSlice(EndpointSlice),
    /// A Pod.
    Pod(Box<Pod>),
    /// A Node.
    Node(Node),
    /// A Namespace.
    Namespace(Namespace),
    /// A NetworkPolicy.
    NetworkPolicy(NetworkPolicy),
    /// An AdminNetworkPolicy, BaselineAdminNetworkPolicy or ClusterNetworkPolicy.
    ClusterPolicy(ClusterPolicy),
    /// A Deployment, ReplicaSet, StatefulSet, DaemonSet or Job.
    Workload(Workload),
    /// An autoscaler.
    Autoscaler(Autoscaler),
    /// An Event.
    Event(Event),
}

impl Object {
    /// Its reference.
    pub fn reference(&self) -> ObjectRef {
        let (kind, meta) = match self {
            Object::Ingress(o) => (Kind::Ingress, &o.meta),
            Object::IngressClass(o) => (Kind::IngressClass, &o.meta),
            Object::Service(o) => (Kind::Service, &o.meta),
            Object::EndpointSlice(o) => (Kind::EndpointSlice, &o.meta),
            Object::Pod(o) => (Kind::Pod, &o.meta),
            Object::Node(o) => (Kind::Node, &o.meta),
            Object::Namespace(o) => (Kind::Namespace, &o.meta),
            Object::NetworkPolicy(o) => (Kind::NetworkPolicy, &o.meta),
            Object::ClusterPolicy(o) => (o.kind, &o.meta),
            Object::Workload(o) => (o.kind, &o.meta),
            Object::Autoscaler(o) => (Kind::HorizontalPodAutoscaler, &o.meta),
            Object::Event(o) => (Kind::Event, &o.meta),
        };
        ObjectRef { kind, key: meta.key() }
    }
}

//! The API server's objects as far as a snapshot keeps them.
//!
//! What is not named here is skipped while it is read, and takes neither time nor memory: managed fields, volumes, the pod templates of
//! workloads, the images of nodes. Parts that are kept whole are the API's own types.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use k8s_openapi::api::{
    apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch, core::v1 as core, discovery::v1 as discovery,
    networking::v1 as networking,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as definitions;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference, Time};
use kube::Resource;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// An object of the API's kind `K`, with so much of its spec and status.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de>, T: Deserialize<'de>"))]
pub struct Wire<K, S, T> {
    /// What is kept of the metadata.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// What is kept of the spec.
    #[serde(default = "none")]
    pub spec: Option<S>,
    /// What is kept of the status.
    #[serde(default = "none")]
    pub status: Option<T>,
    #[serde(skip)]
    kind: PhantomData<K>,
}

fn none<T>() -> Option<T> {
    None
}

/// Ingress
pub type Ingress = Wire<networking::Ingress, networking::IngressSpec, networking::IngressStatus>;
/// IngressClass
pub type IngressClass = Wire<networking::IngressClass, networking::IngressClassSpec, IgnoredAny>;
/// NetworkPolicy
pub type NetworkPolicy = Wire<networking::NetworkPolicy, networking::NetworkPolicySpec, IgnoredAny>;
/// AdminNetworkPolicy
pub type AdminNetworkPolicy = Wire<policies::Admin, ClusterPolicySpec, IgnoredAny>;
/// BaselineAdminNetworkPolicy
pub type BaselineAdminNetworkPolicy = Wire<policies::Baseline, ClusterPolicySpec, IgnoredAny>;
/// ClusterNetworkPolicy
pub type ClusterNetworkPolicy = Wire<policies::Cluster, ClusterPolicySpec, IgnoredAny>;
/// CustomResourceDefinition
pub type Definition = Wire<definitions::CustomResourceDefinition, DefinitionSpec, IgnoredAny>;
/// Service
pub type Service = Wire<core::Service, core::ServiceSpec, core::ServiceStatus>;
/// Pod
pub type Pod = Wire<core::Pod, PodSpec, PodStatus>;
/// Node
pub type Node = Wire<core::Node, NodeSpec, NodeStatus>;
/// Namespace
pub type Namespace = Wire<core::Namespace, IgnoredAny, IgnoredAny>;
/// Deployment
pub type Deployment = Wire<apps::Deployment, WorkloadSpec, WorkloadStatus>;
/// ReplicaSet
pub type ReplicaSet = Wire<apps::ReplicaSet, WorkloadSpec, WorkloadStatus>;
/// StatefulSet
pub type StatefulSet = Wire<apps::StatefulSet, WorkloadSpec, WorkloadStatus>;
/// DaemonSet
pub type DaemonSet = Wire<apps::DaemonSet, WorkloadSpec, WorkloadStatus>;
/// Job
pub type Job = Wire<batch::Job, WorkloadSpec, WorkloadStatus>;
/// HorizontalPodAutoscaler
pub type HorizontalPodAutoscaler =
    Wire<autoscaling::HorizontalPodAutoscaler, autoscaling::HorizontalPodAutoscalerSpec, autoscaling::HorizontalPodAutoscalerStatus>;

/// EndpointSlice
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the API reference describes the fields")]
pub struct EndpointSlice {
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub address_type: String,
    pub endpoints: Option<Vec<discovery::Endpoint>>,
    pub ports: Option<Vec<discovery::EndpointPort>>,
}

/// Event
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the API reference describes the fields")]
pub struct Event {
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub involved_object: core::ObjectReference,
    pub reason: Option<String>,
    pub message: Option<String>,
}

/// Declares structs whose fields are those of the API, all of them optional.
macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(rename_all = "camelCase")]
        #[expect(missing_docs, reason = "the API reference describes the fields")]
        pub struct $name {
            $($(#[$attribute])* pub $field: Option<$type>,)*
        }
    )*};
}

parts! {
    /// Of the spec of a policy of the whole cluster, of any kind and version.
    ClusterPolicySpec { tier: String, priority: i32, subject: PolicySubject, ingress: Vec<ClusterRule>, egress: Vec<ClusterRule> }
    /// Of the pods that such a policy is about.
    PolicySubject { namespaces: LabelSelector, pods: NamespacedPods }
    /// Of pods by their namespace's labels and their own.
    NamespacedPods { namespace_selector: LabelSelector, pod_selector: LabelSelector }
    /// Of a rule of such a policy: v1alpha1 has ports, v1alpha2 has protocols.
    ClusterRule { action: String, from: Vec<ClusterPeer>, to: Vec<ClusterPeer>, ports: Vec<ClusterPort>, protocols: Vec<Protocol> }
    /// Of a peer of such a rule.
    ClusterPeer { namespaces: LabelSelector, pods: NamespacedPods, nodes: LabelSelector, networks: Vec<String> }
    /// Of a port of such a rule.
    ClusterPort { port_number: PortNumber, named_port: String, port_range: PortRange }
    /// Of a port by number.
    PortNumber { protocol: String, port: i32 }
    /// Of a range of ports.
    PortRange { protocol: String, start: i32, end: i32 }
    /// Of a protocol of such a rule.
    Protocol { tcp: OfProtocol, udp: OfProtocol, sctp: OfProtocol, destination_named_port: String }
    /// Of what a rule wants of a protocol.
    OfProtocol { destination_port: DestinationPort }
    /// Of a destination port.
    DestinationPort { number: i32, range: PortRange }
    /// Of the spec of a CustomResourceDefinition.
    DefinitionSpec { versions: Vec<DefinitionVersion> }
    /// Of a version of one.
    DefinitionVersion { name: String, served: bool }
    /// Of a pod's spec.
    PodSpec {
        node_name: String,
        host_network: bool,
        service_account_name: String,
        readiness_gates: Vec<core::PodReadinessGate>,
        containers: Vec<Container>,
        init_containers: Vec<Container>,
    }
    /// Of a pod's status.
    PodStatus {
        phase: String,
        reason: String,
        #[serde(rename = "podIP")] pod_ip: String,
        #[serde(rename = "podIPs")] pod_ips: Vec<core::PodIP>,
        conditions: Vec<Condition>,
        container_statuses: Vec<ContainerStatus>,
        init_container_statuses: Vec<ContainerStatus>,
    }
    /// Of a container's spec.
    Container {
        name: String,
        image: String,
        command: Vec<String>,
        args: Vec<String>,
        ports: Vec<core::ContainerPort>,
        env: Vec<EnvVar>,
        readiness_probe: core::Probe,
        liveness_probe: core::Probe,
        startup_probe: core::Probe,
        resources: Resources,
    }
    /// Of an environment variable: references to Secrets and ConfigMaps are not read.
    EnvVar { name: String, value: String }
    /// Of a container's resources.
    Resources { limits: BTreeMap<String, Quantity> }
    /// Of a container's status.
    ContainerStatus {
        name: String,
        ready: bool,
        restart_count: i32,
        state: core::ContainerState,
        last_state: core::ContainerState,
    }
    /// Of a node's spec.
    NodeSpec { unschedulable: bool }
    /// Of a node's status.
    NodeStatus { addresses: Vec<core::NodeAddress>, conditions: Vec<Condition> }
    /// Of the spec of whatever makes pods.
    WorkloadSpec { replicas: i32, parallelism: i32, strategy: apps::DeploymentStrategy, template: Template }
    /// Of a pod template.
    Template { metadata: TemplateMetadata }
    /// Of a pod template's metadata.
    TemplateMetadata { labels: BTreeMap<String, String> }
    /// Of the status of whatever makes pods.
    WorkloadStatus {
        replicas: i32,
        ready_replicas: i32,
        updated_replicas: i32,
        desired_number_scheduled: i32,
        current_number_scheduled: i32,
        number_ready: i32,
        updated_number_scheduled: i32,
        active: i32,
        ready: i32,
        conditions: Vec<Condition>,
    }
    /// Of a condition of any kind.
    Condition {
        #[serde(rename = "type")] type_: String,
        status: String,
        reason: String,
        message: String,
        last_transition_time: Time,
    }
    /// Of the metadata of any object.
    Metadata {
        name: String,
        namespace: String,
        uid: String,
        resource_version: String,
        generation: i64,
        creation_timestamp: Time,
        deletion_timestamp: Time,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
        owner_references: Vec<OwnerReference>,
    }
}

/// Metadata without managed fields, which are most of it.
fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let meta = Option::<Metadata>::deserialize(deserializer)?.unwrap_or_default();
    Ok(ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        generation: meta.generation,
        creation_timestamp: meta.creation_timestamp,
        deletion_timestamp: meta.deletion_timestamp,
        labels: meta.labels,
        annotations: meta.annotations,
        owner_references: meta.owner_references,
        ..ObjectMeta::default()
    })
}

/// Kinds of the group `policy.networking.k8s.io`, which the API's own types do not have.
pub mod policies {
    macro_rules! kinds {
        ($($(#[$doc:meta])* $name:ident: $kind:literal, $version:literal, $plural:literal;)*) => {$(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl k8s_openapi::Resource for $name {
                const API_VERSION: &'static str = concat!("policy.networking.k8s.io/", $version);
                const GROUP: &'static str = "policy.networking.k8s.io";
                const KIND: &'static str = $kind;
                const VERSION: &'static str = $version;
                const URL_PATH_SEGMENT: &'static str = $plural;
                type Scope = k8s_openapi::ClusterResourceScope;
            }
        )*};
    }

    kinds! {
        /// AdminNetworkPolicy
        Admin: "AdminNetworkPolicy", "v1alpha1", "adminnetworkpolicies";
        /// BaselineAdminNetworkPolicy
        Baseline: "BaselineAdminNetworkPolicy", "v1alpha1", "baselineadminnetworkpolicies";
        /// ClusterNetworkPolicy
        Cluster: "ClusterNetworkPolicy", "v1alpha2", "clusternetworkpolicies";
    }
}

macro_rules! resource {
    ([$($generics:tt)*] $type:ty, $kind:ty) => {
        impl<$($generics)*> Resource for $type {
            type DynamicType = ();
            type Scope = <$kind as k8s_openapi::Resource>::Scope;

            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                <$kind as k8s_openapi::Resource>::KIND.into()
            }

            fn group((): &()) -> std::borrow::Cow<'_, str> {
                <$kind as k8s_openapi::Resource>::GROUP.into()
            }

            fn version((): &()) -> std::borrow::Cow<'_, str> {
                <$kind as k8s_openapi::Resource>::VERSION.into()
            }

            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                <$kind as k8s_openapi::Resource>::URL_PATH_SEGMENT.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

resource!([K: k8s_openapi::Resource, S, T] Wire<K, S, T>, K);
resource!([] EndpointSlice, discovery::EndpointSlice);
resource!([] Event, core::Event);

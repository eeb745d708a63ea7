//! The objects of a snapshot, pruned to what paths and causes read.
//!
//! They are plain data, made by the sources under `snapshot/` from whatever those read (API objects, manifests, a Docker
//! engine). Fields carry the Kubernetes API's meaning; see the API reference of the kind named in each doc comment.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

/// Labels or a label map of a selector.
pub type Labels = BTreeMap<String, String>;

/// The kinds that a snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::EnumIter, strum::EnumString)]
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
}

impl Kind {
    /// Whether objects of this kind live in a namespace.
    pub fn is_namespaced(self) -> bool {
        !matches!(self, Kind::IngressClass | Kind::Node | Kind::Namespace)
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
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
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
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.key)
    }
}

/// What every object has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Namespace, empty for cluster-wide kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID, empty where the source has none (manifest files).
    pub uid: String,
    /// Labels.
    pub labels: Labels,
    /// Annotations that Culprit or a gateway reads; the others are dropped by the source.
    pub annotations: BTreeMap<String, String>,
    /// The controlling owner.
    pub owner: Option<Owner>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// metadata.generation, 0 where the kind has none.
    pub generation: i64,
}

impl Meta {
    /// Its key.
    pub fn key(&self) -> Key {
        Key::new(&self.namespace, &self.name)
    }
}

/// The controlling owner of an object, in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its kind as written, e.g. `ReplicaSet`; may be a kind that a snapshot does not hold.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortRef {
    /// A number.
    Number(u16),
    /// A name, resolved by whoever is referred to.
    Name(String),
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortRef::Number(n) => write!(f, "{n}"),
            PortRef::Name(n) => write!(f, "{n}"),
        }
    }
}

/// Transport protocol of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display)]
pub enum Transport {
    /// TCP, the default of the API.
    #[default]
    #[strum(serialize = "TCP")]
    Tcp,
    /// UDP
    #[strum(serialize = "UDP")]
    Udp,
    /// SCTP
    #[strum(serialize = "SCTP")]
    Sctp,
}

/// networking.k8s.io/v1 Ingress
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ingress {
    /// Metadata.
    pub meta: Meta,
    /// spec.ingressClassName, or the older annotation `kubernetes.io/ingress.class`.
    pub class: Option<String>,
    /// spec.defaultBackend
    pub default_backend: Option<IngressBackend>,
    /// spec.rules
    pub rules: Vec<IngressRule>,
    /// spec.tls
    pub tls: Vec<IngressTls>,
    /// Addresses and host names in status.loadBalancer.ingress.
    pub addresses: Vec<String>,
}

/// One rule of an Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressRule {
    /// Host, possibly with a leading `*.`; none means any host.
    pub host: Option<String>,
    /// Its paths.
    pub paths: Vec<IngressPath>,
}

/// One path of an Ingress rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressPath {
    /// The path, `/` where none is given.
    pub path: String,
    /// How the path is matched.
    pub path_type: PathType,
    /// Where requests go.
    pub backend: IngressBackend,
}

/// How an Ingress path is matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display)]
pub enum PathType {
    /// The whole path, case-sensitive.
    Exact,
    /// By path elements.
    #[default]
    Prefix,
    /// As the gateway pleases: often a prefix, sometimes a regular expression.
    ImplementationSpecific,
}

/// Where an Ingress sends requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IngressBackend {
    /// A Service of the same namespace, and a port of it.
    Service {
        /// Name of the Service.
        name: String,
        /// A port of the Service: its number or name, never the container's.
        port: PortRef,
    },
    /// Another resource, as `Kind/name`.
    Resource(String),
}

/// One entry of spec.tls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressTls {
    /// Hosts that the certificate is meant for; empty means the gateway decides.
    pub hosts: Vec<String>,
    /// Name of the Secret; its data is never read.
    pub secret: Option<String>,
}

impl IngressTls {
    /// Whether one of its hosts is this host of a rule, or a wildcard over it.
    pub fn names(&self, host: &str) -> bool {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.hosts.iter().any(|h| h == host || (h.starts_with("*.") && h.strip_prefix("*.") == parent))
    }
}

/// networking.k8s.io/v1 IngressClass
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressClass {
    /// Metadata.
    pub meta: Meta,
    /// spec.controller, e.g. `traefik.io/ingress-controller`.
    pub controller: String,
    /// Whether `ingressclass.kubernetes.io/is-default-class` is `true`.
    pub is_default: bool,
}

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
    pub service: Option<String>,
    /// The label `endpointslice.kubernetes.io/managed-by`.
    pub managed_by: Option<String>,
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
    /// conditions.ready; none counts as ready for most consumers.
    pub ready: Option<bool>,
    /// conditions.serving
    pub serving: Option<bool>,
    /// conditions.terminating
    pub terminating: Option<bool>,
    /// nodeName
    pub node: Option<String>,
    /// Name of the pod in targetRef, if it is one.
    pub pod: Option<String>,
}

/// Phase of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::Display, strum::EnumString)]
pub enum Phase {
    /// Not all containers were started.
    Pending,
    /// At least one container runs or restarts.
    #[default]
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, one badly.
    Failed,
    /// The node did not say.
    Unknown,
}

/// core/v1 Pod
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Metadata.
    pub meta: Meta,
    /// spec.nodeName
    pub node: Option<String>,
    /// status.podIPs
    pub ips: Vec<IpAddr>,
    /// spec.hostNetwork
    pub host_network: bool,
    /// spec.serviceAccountName
    pub service_account: Option<String>,
    /// status.phase
    pub phase: Phase,
    /// status.reason, e.g. `Evicted`.
    pub reason: Option<String>,
    /// status.conditions
    pub conditions: Vec<Condition>,
    /// spec.containers with their statuses.
    pub containers: Vec<Container>,
    /// spec.initContainers with their statuses (sidecars among them).
    pub init_containers: Vec<Container>,
}

impl Pod {
    /// The condition of a type, if the pod has it.
    pub fn condition(&self, condition_type: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.condition_type == condition_type)
    }

    /// Whether the pod's Ready condition is True.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|c| c.status == ConditionStatus::True)
    }

    /// Whether the pod has ended for good, as those of finished Jobs have.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Its reference.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef { kind: Kind::Pod, key: self.meta.key() }
    }
}

/// Status of a condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::Display, strum::EnumString)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// The controller does not know.
    #[default]
    Unknown,
}

/// A condition of a pod, node or workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Its type, e.g. `Ready`.
    pub condition_type: String,
    /// Its status.
    pub status: ConditionStatus,
    /// A CamelCase reason.
    pub reason: Option<String>,
    /// A sentence.
    pub message: Option<String>,
    /// When the status last changed.
    pub since: Option<Timestamp>,
}

/// A container of a pod: its spec joined with its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Name.
    pub name: String,
    /// Image.
    pub image: String,
    /// Declared ports.
    pub ports: Vec<ContainerPort>,
    /// Command and arguments, cut to what a gateway's flags and a server's listen address need.
    pub args: Vec<String>,
    /// Literal environment values that look like a port or a listen address (`PORT=3000`, `HOST=localhost`); never from Secrets.
    pub env: Vec<(String, String)>,
    /// Readiness probe.
    pub readiness: Option<ProbeSpec>,
    /// Liveness probe.
    pub liveness: Option<ProbeSpec>,
    /// Startup probe.
    pub startup: Option<ProbeSpec>,
    /// resources.limits.memory as written.
    pub memory_limit: Option<String>,
    /// Whether the kubelet counts it as ready.
    pub ready: bool,
    /// restartCount
    pub restarts: i32,
    /// Its state now.
    pub state: ContainerState,
    /// How its last run ended.
    pub last_termination: Option<Termination>,
}

/// A declared container port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerPort {
    /// Name.
    pub name: Option<String>,
    /// Number.
    pub port: u16,
    /// hostPort
    pub host_port: Option<u16>,
    /// Transport.
    pub transport: Transport,
}

/// A kubelet's probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSpec {
    /// What it does.
    pub action: ProbeAction,
    /// timeoutSeconds, 1 by default.
    pub timeout_seconds: i32,
    /// periodSeconds, 10 by default.
    pub period_seconds: i32,
    /// failureThreshold, 3 by default.
    pub failure_threshold: i32,
    /// initialDelaySeconds, 0 by default.
    pub initial_delay_seconds: i32,
}

/// What a kubelet's probe does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAction {
    /// An HTTP GET that succeeds with 200 to 399.
    HttpGet {
        /// Path, `/` by default.
        path: String,
        /// Port by number or container port name.
        port: PortRef,
        /// Whether it uses HTTPS (without verification).
        https: bool,
        /// Host or address to connect to instead of the pod.
        host: Option<String>,
        /// Headers by name and value.
        headers: Vec<(String, String)>,
    },
    /// A TCP connect.
    TcpSocket {
        /// Port by number or container port name.
        port: PortRef,
    },
    /// A gRPC health check.
    Grpc {
        /// Port.
        port: u16,
    },
    /// A command inside the container.
    Exec,
}

/// State of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContainerState {
    /// No status was reported.
    #[default]
    Unreported,
    /// Not started, with a reason such as `ImagePullBackOff`.
    Waiting {
        /// CamelCase reason.
        reason: String,
        /// A sentence.
        message: String,
    },
    /// Running since then.
    Running {
        /// Start of this run.
        since: Option<Timestamp>,
    },
    /// Ended.
    Terminated(Termination),
}

/// How a container's run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Termination {
    /// Exit code.
    pub exit_code: i32,
    /// Signal, 0 if none.
    pub signal: i32,
    /// `OOMKilled`, `Error`, `Completed` …
    pub reason: String,
    /// A sentence, or the tail of the log where the pod asks for it.
    pub message: String,
    /// When it ended.
    pub finished: Option<Timestamp>,
}

/// core/v1 Node
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Metadata.
    pub meta: Meta,
    /// Internal and external addresses.
    pub addresses: Vec<IpAddr>,
    /// spec.unschedulable
    pub unschedulable: bool,
    /// status.conditions
    pub conditions: Vec<Condition>,
}

/// core/v1 Namespace
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Metadata; labels matter to policies.
    pub meta: Meta,
}

/// A Deployment, ReplicaSet, StatefulSet, DaemonSet or Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Which of them.
    pub kind: Kind,
    /// Metadata.
    pub meta: Meta,
    /// Pods wanted: spec.replicas, desiredNumberScheduled or parallelism.
    pub desired: i32,
    /// Pods made (status.replicas, currentNumberScheduled or active).
    pub current: i32,
    /// Pods ready.
    pub ready: i32,
    /// Labels of the pod template.
    pub template_labels: Labels,
    /// status.conditions
    pub conditions: Vec<Condition>,
}

impl Workload {
    /// Its reference.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef { kind: self.kind, key: self.meta.key() }
    }
}

/// A label selector with both of its forms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// matchLabels
    pub labels: Labels,
    /// matchExpressions
    pub expressions: Vec<Requirement>,
}

/// One entry of matchExpressions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// Operator.
    pub operator: Operator,
    /// Values.
    pub values: Vec<String>,
}

/// Operator of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
pub enum Operator {
    /// The value is one of these.
    In,
    /// The value is none of these, or the key is absent.
    NotIn,
    /// The key is there.
    Exists,
    /// The key is not there.
    DoesNotExist,
}

impl Selector {
    /// Whether labels satisfy every part of the selector; an empty selector matches everything.
    pub fn matches(&self, labels: &Labels) -> bool {
        is_subset(&self.labels, labels)
            && self.expressions.iter().all(|r| {
                let value = labels.get(&r.key);
                match r.operator {
                    Operator::In => value.is_some_and(|v| r.values.contains(v)),
                    Operator::NotIn => value.is_none_or(|v| !r.values.contains(v)),
                    Operator::Exists => value.is_some(),
                    Operator::DoesNotExist => value.is_none(),
                }
            })
    }
}

/// Whether every label of `wanted` is in `labels` with the same value.
pub fn is_subset(wanted: &Labels, labels: &Labels) -> bool {
    wanted.iter().all(|(k, v)| labels.get(k) == Some(v))
}

/// networking.k8s.io/v1 NetworkPolicy
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Metadata.
    pub meta: Meta,
    /// spec.podSelector
    pub pods: Selector,
    /// Rules for incoming traffic; none where policyTypes has no Ingress.
    pub ingress: Option<Vec<PolicyRule>>,
    /// Rules for outgoing traffic; none where policyTypes has no Egress.
    pub egress: Option<Vec<PolicyRule>>,
}

/// One rule of a policy: any of the peers, on any of the ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRule {
    /// Peers; empty means everybody.
    pub peers: Vec<PolicyPeer>,
    /// Ports; empty means every port.
    pub ports: Vec<PolicyPort>,
}

/// A peer of a policy rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyPeer {
    /// Pods of namespaces.
    Pods {
        /// Namespaces; none means the policy's own.
        namespaces: Option<Selector>,
        /// Pods; none means all pods of those namespaces.
        pods: Option<Selector>,
    },
    /// An address block.
    Block {
        /// The block.
        cidr: ipnet::IpNet,
        /// Blocks taken out of it.
        except: Vec<ipnet::IpNet>,
    },
}

/// A port of a policy rule, after address translation: the pod's port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyPort {
    /// Port; none means all ports of the transport.
    pub port: Option<PortRef>,
    /// End of a range that begins with `port`.
    pub end_port: Option<u16>,
    /// Transport.
    pub transport: Transport,
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
    /// A Deployment, ReplicaSet, StatefulSet, DaemonSet or Job.
    Workload(Workload),
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
            Object::Workload(o) => (o.kind, &o.meta),
        };
        ObjectRef { kind, key: meta.key() }
    }
}

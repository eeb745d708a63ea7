//! Pods and their containers.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Condition, ConditionStatus, Kind, Meta, ObjectRef, PortRef, Text, Transport};

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
    pub node: Option<Text>,
    /// status.podIPs
    pub ips: Vec<IpAddr>,
    /// spec.hostNetwork
    pub host_network: bool,
    /// spec.serviceAccountName
    pub service_account: Option<Text>,
    /// status.phase
    pub phase: Phase,
    /// status.reason, e.g. `Evicted`.
    pub reason: Option<String>,
    /// status.conditions
    pub conditions: Vec<Condition>,
    /// Condition types in spec.readinessGates.
    pub readiness_gates: Vec<String>,
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

    /// Whether every container of it runs, ready or not.
    pub fn runs(&self) -> bool {
        !self.containers.is_empty() && self.containers.iter().all(|c| matches!(c.state, ContainerState::Running { .. }))
    }

    /// Its reference.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef { kind: Kind::Pod, key: self.meta.key() }
    }
}

/// A container of a pod: its spec joined with its status. Reads as its spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// What it is made of; pods of one template share it.
    pub spec: Arc<ContainerSpec>,
    /// Whether the kubelet counts it as ready.
    pub ready: bool,
    /// restartCount
    pub restarts: i32,
    /// Its state now.
    pub state: ContainerState,
    /// How its last run ended.
    pub last_termination: Option<Termination>,
}

impl Deref for Container {
    type Target = ContainerSpec;

    fn deref(&self) -> &ContainerSpec {
        &self.spec
    }
}

/// What a container is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContainerSpec {
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
}

/// A declared container port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

//! What makes pods, and what is said about it.

use super::{Condition, Kind, Labels, Meta, ObjectRef};

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
    /// Pods made from the present template: status.updatedReplicas and the like.
    pub updated: i32,
    /// How a Deployment replaces its pods.
    pub strategy: Strategy,
    /// Labels of the pod template.
    pub template_labels: Labels,
    /// status.conditions
    pub conditions: Vec<Condition>,
}

/// How many pods a Deployment may be without while it replaces them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Not a Deployment, or nothing said.
    #[default]
    Unstated,
    /// All old pods go before the first new one comes.
    Recreate,
    /// strategy.rollingUpdate.maxUnavailable as a number of pods.
    Rolling {
        /// Pods that may be missing.
        max_unavailable: i32,
    },
}

impl Workload {
    /// Its reference.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef { kind: self.kind, key: self.meta.key() }
    }
}

/// autoscaling/v2 HorizontalPodAutoscaler
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Autoscaler {
    /// Metadata.
    pub meta: Meta,
    /// Kind of what it scales, as written.
    pub target_kind: String,
    /// Name of what it scales.
    pub target_name: String,
    /// spec.maxReplicas
    pub most: i32,
    /// status.currentReplicas
    pub current: i32,
    /// status.conditions
    pub conditions: Vec<Condition>,
}

/// core/v1 Event of type Warning: why something did not happen. Its count and times are dropped, so that a repetition changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Metadata.
    pub meta: Meta,
    /// Kind of the object that it is about, as written.
    pub about_kind: String,
    /// Name of the object that it is about, in the same namespace.
    pub about_name: String,
    /// UID of the object that it is about.
    pub about_uid: String,
    /// CamelCase reason, e.g. `FailedMount`.
    pub reason: String,
    /// A sentence, cut to a few hundred characters.
    pub message: String,
}

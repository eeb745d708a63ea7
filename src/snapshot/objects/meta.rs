//! What objects have in common.

use std::fmt;

use jiff::Timestamp;

use super::{Key, Labels, Text};
use crate::api::ANNOTATION_GATEWAY;

/// What every object has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Namespace, empty for cluster-wide kinds.
    pub namespace: Text,
    /// Name.
    pub name: Text,
    /// UID, empty where the source has none (manifest files).
    pub uid: Text,
    /// Labels.
    pub labels: Labels,
    /// Annotations that Culprit or a gateway reads; the others are dropped by the source.
    pub annotations: Labels,
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
        Key { namespace: self.namespace.clone(), name: self.name.clone() }
    }

    /// The gateway's Service that the annotation `culprit.dev/gateway` names, as `namespace/service` or as a Service of the same namespace.
    pub fn gateway(&self) -> Option<Key> {
        let value = self.annotations.get(ANNOTATION_GATEWAY)?;
        let (namespace, name) = value.split_once('/').unwrap_or((&self.namespace, value));
        Some(Key::new(namespace, name))
    }
}

/// The controlling owner of an object, in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its kind as written, e.g. `ReplicaSet`; may be a kind that a snapshot does not hold.
    pub kind: Text,
    /// Its name.
    pub name: Text,
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
    pub condition_type: Text,
    /// Its status.
    pub status: ConditionStatus,
    /// A CamelCase reason.
    pub reason: Option<String>,
    /// A sentence.
    pub message: Option<String>,
    /// When the status last changed.
    pub since: Option<Timestamp>,
}

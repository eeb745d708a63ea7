//! A finding as a resource shows it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Hop;

/// A cause that holds now, with evidence, proof and fix.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Slug of the cause; `culprit explain SLUG` tells all about it.
    pub cause: String,
    /// Where on the path it sits.
    pub hop: Hop,
    /// Whether requests fail by it.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// The fault in one sentence.
    pub message: String,
    /// The objects to look at, the one to change first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectField>,
    /// What it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// The failing probe next to the one that works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// How to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
    /// When this cause was first found (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::status::time_schema")]
    pub since: Option<String>,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
}

/// Whether requests fail by a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema, strum::Display)]
pub enum Severity {
    /// Requests fail.
    #[default]
    Error,
    /// Some requests or some clients fail, or it is about to break.
    Warning,
}

/// How sure a finding is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema, strum::Display, strum::EnumString,
)]
pub enum Confidence {
    /// The fault was seen together with what would work, or is stated by the object at fault.
    Proven,
    /// Everything seen fits, one look is missing.
    #[default]
    Likely,
    /// It would explain what was seen; so would others.
    Possible,
}

/// An object, and the field of it that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct ObjectField {
    /// Kind.
    pub kind: String,
    /// Namespace, none for cluster-wide kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Path of the field, e.g. `spec.ports[0].targetPort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// One thing that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Evidence {
    /// What kind of thing.
    pub kind: EvidenceKind,
    /// Where it was seen from, for probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vantage: Option<String>,
    /// What was seen, in one line.
    pub text: String,
}

/// What kind of thing was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema, strum::Display)]
pub enum EvidenceKind {
    /// An answer of the network.
    #[default]
    Probe,
    /// A field of an object.
    Object,
    /// A line of a log.
    Log,
    /// A process, its sockets or its cgroup.
    Process,
    /// An event of the cluster or the engine.
    Event,
}

/// The failing probe next to the counter-probe that works.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Proof {
    /// What fails.
    pub failing: String,
    /// What works, or the fact that decides.
    pub passing: String,
}

/// How to mend a fault.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Fix {
    /// In one sentence.
    pub summary: String,
    /// Commands that do it, or show what has to be decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

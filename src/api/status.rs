//! The answer: verdict, routes and hops of one target.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Finding;

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `kind/name` of the target, for the printed column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The judgement over all routes of the target.
    #[serde(default)]
    pub verdict: Verdict,
    /// Slug of the first finding's cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Hop of the first finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<Hop>,
    /// The verdict in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Who made the failing answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<AnsweredBy>,
    /// When this verdict began (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time_schema")]
    pub since: Option<String>,
    /// `Healthy`, `Probed`, and kstatus' `Reconciling` and `Stalled` where they apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// One entry for each host and path of the target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteStatus>,
    /// The path of a request, hop by hop, for the worst route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<HopStatus>,
    /// What was found; the first is the answer.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Last ten changes of verdict or cause, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Transition>,
}

pub(super) fn time_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "format": "date-time", "nullable": true})
}

/// Conditions merge by type under server-side apply.
pub(super) fn conditions_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = <Vec<Condition>>::json_schema(generator);
    schema.insert("x-kubernetes-list-type".into(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".into(), serde_json::json!(["type"]));
    schema
}

/// Whether requests work.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Deserialize,
    Serialize,
    JsonSchema,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
)]
pub enum Verdict {
    /// Requests were seen to work.
    Healthy,
    /// It was not seen, or not enough of it.
    #[default]
    Unknown,
    /// Some requests fail.
    Degraded,
    /// Requests fail.
    Failing,
}

impl Verdict {
    /// An explicit label for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Verdict::Healthy => "healthy",
            Verdict::Unknown => "unknown",
            Verdict::Degraded => "degraded",
            Verdict::Failing => "failing",
        }
    }
}

/// One element of the path that a request takes, nearest to the client first.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Deserialize,
    Serialize,
    JsonSchema,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
)]
pub enum Hop {
    /// Who asks.
    #[default]
    Client,
    /// Public DNS, CDN, load balancer.
    Edge,
    /// What answers the client.
    Gateway,
    /// The rule that matches the request.
    Route,
    /// The Service.
    Service,
    /// The endpoints behind it.
    Endpoint,
    /// What carries packets to them.
    Network,
    /// The listening socket.
    Socket,
    /// What is spoken on it.
    Protocol,
    /// The program that answers.
    Application,
    /// The machine under it.
    Node,
}

/// Who made the failing answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema, strum::Display, strum::EnumString)]
pub enum AnsweredBy {
    /// The gateway made it itself.
    Gateway,
    /// The application made it and the gateway passed it on.
    Application,
    /// A proxy between the gateway and the application.
    InnerProxy,
    /// Something before the gateway.
    Edge,
    /// No answer came.
    Nobody,
    /// It could not be told.
    #[default]
    Unknown,
}

/// Verdict for one host and path.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct RouteStatus {
    /// Host, or none for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Path.
    pub path: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// Indexes into `findings`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<u32>,
}

/// State of one hop.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct HopStatus {
    /// Which hop.
    pub hop: Hop,
    /// The objects that are this hop, as `Kind/namespace/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<String>,
    /// Its state.
    pub state: HopState,
    /// What was seen there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Whether a hop lets requests through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema, strum::Display)]
pub enum HopState {
    /// It was seen to work.
    Passing,
    /// The fault sits here.
    Failing,
    /// A fault before it kept requests away.
    NotReached,
    /// It was not seen.
    #[default]
    Unknown,
}

/// A change of verdict or cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Transition {
    /// When (RFC 3339).
    pub at: String,
    /// The verdict from then on.
    pub verdict: Verdict,
    /// The cause from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

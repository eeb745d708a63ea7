//! `ConnectivityCheck`: who is to reach whom, and which names resolve, asked from inside the pods themselves.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Verdict;
use super::status::{conditions_schema, time_schema};

/// What is to be reachable, or not.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "culprit.dev",
    version = "v1alpha1",
    kind = "ConnectivityCheck",
    shortname = "cc",
    category = "culprit",
    namespaced,
    status = "ConnectivityStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Who is to reach whom, and which names are to resolve, asked from inside the pods themselves. Needs agents.",
    printcolumn = r#"{"name":"Check","type":"string","jsonPath":".status.check","description":"from whom to whom"}"#,
    printcolumn = r#"{"name":"Verdict","type":"string","jsonPath":".status.verdict","description":"Healthy, Degraded, Failing or Unknown"}"#,
    printcolumn = r#"{"name":"Pairs","type":"integer","jsonPath":".status.pairs.asked","description":"pairs asked in the last round"}"#,
    printcolumn = r#"{"name":"Failing","type":"integer","jsonPath":".status.pairs.failing","description":"pairs that are not as expected"}"#,
    printcolumn = r#"{"name":"Cause","type":"string","jsonPath":".status.cause"}"#,
    printcolumn = r#"{"name":"Since","type":"date","jsonPath":".status.since","description":"when this verdict began"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.message"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.to) || has(self.dns)", "message": "say what is to be reached (to), which names are to resolve (dns), or both"},
    {"rule": "!has(self.to) || has(self.to.nodes) || has(self.port)", "message": "port is needed where to names pods, a Service or a host"}
]))]
pub struct ConnectivityCheckSpec {
    /// Who asks.
    pub from: Source,
    /// Whom they ask; nobody where only names are resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Destination>,
    /// The port: of the pods, of the Service, or of the host. Nodes are asked at the port of their agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// The transport. UDP gives no answer to judge by.
    #[serde(default)]
    pub protocol: Protocol,
    /// Whether the connection is to be made or to be kept out.
    #[serde(default)]
    pub expect: Expectation,
    /// Names that are to resolve, asked of every replica of the cluster's DNS, from every source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names_schema")]
    pub dns: Option<Vec<String>>,
    /// Time between two rounds: a number and a unit, `10s` to `24h`. 30s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::diagnosis::interval_schema")]
    pub interval: Option<String>,
    /// While true nothing is asked and the status stays as it is.
    #[serde(default)]
    pub suspend: bool,
}

/// Who asks: pods of the check's own namespace, or nodes through their agents, which only Culprit's own namespace may use.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.pods) != has(self.nodes)", "message": "from takes either pods or nodes"}
]))]
pub struct Source {
    /// Pods of the check's own namespace; an empty selector means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<LabelSelector>,
    /// Nodes by their labels, asked from the pods of their agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<LabelSelector>,
}

/// Whom they ask: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "[has(self.pods), has(self.service), has(self.nodes), has(self.host)].filter(x, x).size() == 1",
     "message": "to takes exactly one of pods, service, nodes and host"}
]))]
pub struct Destination {
    /// Pods of the check's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<LabelSelector>,
    /// A Service, asked at its own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// Nodes by their labels, asked at the pods of their agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<LabelSelector>,
    /// A host outside the cluster, by name. Where it leads to what may not be probed, it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "host_schema")]
    pub host: Option<String>,
}

/// A Service by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct ServiceName {
    /// Name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Namespace; the check's own where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
}

/// Transports that can be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::Display)]
pub enum Protocol {
    /// A connection is opened and closed.
    #[default]
    #[serde(rename = "TCP")]
    #[strum(serialize = "TCP")]
    Tcp,
}

/// What is expected of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema, strum::Display)]
pub enum Expectation {
    /// The connection is made.
    #[default]
    Allowed,
    /// The connection is kept out.
    Denied,
}

/// What the last round showed. Written where a verdict, a failing pair or an outage changes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectivityStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// From whom to whom, for the printed column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// The judgement over all pairs and names.
    #[serde(default)]
    pub verdict: Verdict,
    /// Slug of the cause, where one explains the failing pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The verdict in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When this verdict began (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time_schema")]
    pub since: Option<String>,
    /// `Healthy`, and `Stalled` where the check cannot be asked as it is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The pairs in numbers.
    #[serde(default)]
    pub pairs: PairSummary,
    /// Pairs that are not as expected, the first twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<FailingPair>,
    /// Every replica of the cluster's DNS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<ReplicaStatus>,
    /// The last ten outages, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Outage>,
}

/// Pairs in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct PairSummary {
    /// Pairs of the round.
    pub asked: u32,
    /// As expected.
    pub passing: u32,
    /// Not as expected.
    pub failing: u32,
    /// Not seen, or not to be judged.
    pub unknown: u32,
}

/// A pair that is not as expected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct FailingPair {
    /// Who asked.
    pub from: String,
    /// Whom.
    pub to: String,
    /// What came.
    pub outcome: String,
    /// Slug of what explains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// One replica of the cluster's DNS, over the last round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaStatus {
    /// The pod.
    pub replica: String,
    /// Questions asked of it.
    pub asked: u32,
    /// Questions that were not answered, or not as they should be.
    pub failed: u32,
    /// Time that half of the answers took at most, in milliseconds.
    pub p50_millis: u32,
    /// Time that all but one in a hundred took at most, in milliseconds.
    pub p99_millis: u32,
}

/// A time in which something was not as expected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Outage {
    /// When it was first seen (RFC 3339).
    pub from: String,
    /// When it was over (RFC 3339); none while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Its cause, where it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

fn names_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array", "nullable": true, "minItems": 1, "maxItems": 16, "items": {"type": "string", "minLength": 1, "maxLength": 253},
        "x-kubernetes-validations": [
            {"rule": "self.all(n, n.matches('^[A-Za-z0-9_.-]+$'))", "message": "dns takes names of hosts, without scheme, port or path"}
        ]
    })
}

fn host_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string", "nullable": true, "minLength": 1, "maxLength": 253,
        "x-kubernetes-validations": [
            {"rule": "self.matches('^[A-Za-z0-9-]+([.][A-Za-z0-9-]+)*$')", "message": "host is a host name, without scheme, port or path"},
            {"rule": "!self.matches('^[0-9.]+$')", "message": "host is a name; addresses are not taken"}
        ]
    })
}

//! `Diagnosis`: verdict, hops and findings of one target.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is to be diagnosed, and how it is asked. All but the target may be left out.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "culprit.dev",
    version = "v1alpha1",
    kind = "Diagnosis",
    plural = "diagnoses",
    shortname = "dx",
    category = "culprit",
    namespaced,
    status = "DiagnosisStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Why a route fails, hop by hop, with proof. Made for every Ingress; write one yourself for a Service or for other probe settings.",
    printcolumn = r#"{"name":"Target","type":"string","jsonPath":".status.target","description":"kind/name of what is diagnosed"}"#,
    printcolumn = r#"{"name":"Verdict","type":"string","jsonPath":".status.verdict","description":"Healthy, Degraded, Failing or Unknown"}"#,
    printcolumn = r#"{"name":"Cause","type":"string","jsonPath":".status.cause","description":"slug of the first finding's cause"}"#,
    printcolumn = r#"{"name":"Since","type":"date","jsonPath":".status.since","description":"when this verdict began"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Hop","type":"string","priority":1,"jsonPath":".status.hop","description":"where on the path the fault sits"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.message"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisSpec {
    /// What is diagnosed: an object of the Diagnosis' own namespace.
    pub target: Target,
    /// How often the route is asked end to end: a number and a unit, `10s` to `24h`. 30s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "interval_schema")]
    pub interval: Option<String>,
    /// While true nothing is asked and the status stays as it is.
    #[serde(default)]
    pub suspend: bool,
    /// How the route is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeSettings>,
}

/// Names what is diagnosed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.kind == oldSelf.kind && self.name == oldSelf.name", "message": "target cannot be changed; make another Diagnosis"}
]))]
pub struct Target {
    /// Kind of the target.
    pub kind: TargetKind,
    /// Name of the target.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Kinds that can be diagnosed.
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
pub enum TargetKind {
    /// networking.k8s.io/v1 Ingress
    #[default]
    #[strum(ascii_case_insensitive)]
    Ingress,
    /// core/v1 Service
    #[strum(ascii_case_insensitive)]
    Service,
}

/// How a route is asked. Everything is optional.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeSettings {
    /// Method: GET by default; none that changes anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "method_schema")]
    pub method: Option<String>,
    /// Path and query to ask for instead of the route's own path. Begins with `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "path_schema")]
    pub path: Option<String>,
    /// Limit for one request: a number and a unit, `100ms` to `60s`. 5s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timeout_schema")]
    pub timeout: Option<String>,
    /// Statuses that count as working: `200` or a range `200-499`. 200-499 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "statuses_schema")]
    pub expected_status: Option<Vec<String>>,
    /// Further request headers; never credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "headers_schema")]
    pub headers: Option<Vec<Header>>,
}

/// A request header.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Header {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

fn interval_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string", "nullable": true, "maxLength": 16,
        "x-kubernetes-validations": [
            {"rule": "self.matches('^[0-9]+(s|m|h)$') && duration(self) >= duration('10s') && duration(self) <= duration('24h')",
             "message": "interval must be a whole number with the unit s, m or h, from 10s to 24h"}
        ]
    })
}

fn timeout_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string", "nullable": true, "maxLength": 16,
        "x-kubernetes-validations": [
            {"rule": "self.matches('^[0-9]+(ms|s|m)$') && duration(self) >= duration('100ms') && duration(self) <= duration('60s')",
             "message": "timeout must be a whole number with the unit ms, s or m, from 100ms to 60s"}
        ]
    })
}

fn method_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "nullable": true, "enum": ["GET", "HEAD", "OPTIONS"]})
}

fn path_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string", "nullable": true, "maxLength": 1024,
        "x-kubernetes-validations": [
            {"rule": "self.matches('^/[!-~]*$')", "message": "path must begin with / and hold printable ASCII without spaces; a host or URL is not allowed"}
        ]
    })
}

fn statuses_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array", "nullable": true, "minItems": 1, "maxItems": 16,
        "items": {"type": "string", "maxLength": 7},
        "x-kubernetes-validations": [
            {"rule": "self.all(s, s.matches('^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$'))", "message": "expectedStatus takes a status such as 200 or a range such as 200-499"}
        ]
    })
}

fn headers_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array", "nullable": true, "maxItems": 16,
        "items": {
            "type": "object", "required": ["name", "value"],
            "properties": {"name": {"type": "string", "maxLength": 128}, "value": {"type": "string", "maxLength": 1024}}
        },
        "x-kubernetes-validations": [
            {"rule": "self.all(h, h.name.matches('^[A-Za-z0-9-]+$'))", "message": "a header name holds letters, digits and dashes"},
            {"rule": "self.all(h, !(h.name.lowerAscii() in ['authorization', 'cookie', 'proxy-authorization', 'host', 'connection', 'content-length', 'transfer-encoding']))",
             "message": "headers may not hold credentials or what the probe sets itself (authorization, cookie, host, connection, content-length, transfer-encoding)"},
            {"rule": "self.all(h, h.value.matches('^[ -~]*$'))", "message": "a header value holds printable ASCII"}
        ]
    })
}

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

fn time_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "format": "date-time", "nullable": true})
}

/// Conditions merge by type under server-side apply.
fn conditions_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
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
    #[schemars(schema_with = "time_schema")]
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

/// Labels of objects that Culprit makes.
pub fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), "culprit".to_owned())])
}

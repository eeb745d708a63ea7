//! `Diagnosis`: what is asked of one target. Its answer is in `status.rs`.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DiagnosisStatus;

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
    /// What is diagnosed: an object of the Diagnosis' own namespace, or a container of a Docker host.
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
    {"rule": "self.kind == oldSelf.kind && self.name == oldSelf.name && has(self.host) == has(oldSelf.host) && (!has(self.host) || self.host == oldSelf.host)",
     "message": "target cannot be changed; make another Diagnosis"},
    {"rule": "(self.kind == 'Container') == has(self.host)", "message": "a Container, and nothing else, has a host"}
]))]
pub struct Target {
    /// Kind of the target.
    pub kind: TargetKind,
    /// Name of the target.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Of a container: the Docker host that it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
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
    /// A gateway's container on a Docker host
    #[strum(ascii_case_insensitive)]
    Container,
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

pub(super) fn interval_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
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

/// Labels of objects that Culprit makes.
pub fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), "culprit".to_owned())])
}

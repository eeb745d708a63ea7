//! The Diagnosis document, with or without a cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::api::{Diagnosis, DiagnosisSpec, DiagnosisStatus};
use crate::diagnose::document_name;
use crate::snapshot::objects::ObjectRef;

/// The document of a target.
pub fn of(target: &ObjectRef, spec: DiagnosisSpec, status: DiagnosisStatus) -> Diagnosis {
    let metadata =
        ObjectMeta { name: Some(document_name(target)), namespace: Some(target.key.namespace.to_string()), ..ObjectMeta::default() };
    Diagnosis { metadata, spec, status: Some(status) }
}

/// One document as an object, several as a List.
pub fn json(documents: &[Diagnosis]) -> String {
    let mut text = serde_json::to_string_pretty(&value(documents)).unwrap_or_default();
    text.push('\n');
    text
}

/// The same as YAML.
pub fn yaml(documents: &[Diagnosis]) -> String {
    serde_yaml::to_string(&value(documents)).unwrap_or_default()
}

fn value(documents: &[Diagnosis]) -> Value {
    match documents {
        [one] => serde_json::to_value(one).unwrap_or_default(),
        many => json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": many}),
    }
}

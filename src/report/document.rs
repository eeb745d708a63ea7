//! The Diagnosis document, with or without a cluster.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::api::{Diagnosis, DiagnosisSpec, DiagnosisStatus};
use crate::diagnose::{document_name, namespace_of};
use crate::snapshot::objects::ObjectRef;

/// How several documents are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One document stands alone, several are a List.
    AsMany,
    /// Always a List: what a whole namespace or cluster was asked for stays one, however many there happen to be.
    List,
}

/// The document of a target.
pub fn of(target: &ObjectRef, spec: DiagnosisSpec, status: DiagnosisStatus) -> Diagnosis {
    let metadata = ObjectMeta { name: Some(document_name(target)), namespace: namespace_of(target), ..ObjectMeta::default() };
    Diagnosis { metadata, spec, status: Some(status) }
}

/// The documents as JSON.
pub fn json(documents: &[&Diagnosis], shape: Shape) -> String {
    let mut text = match (documents, shape) {
        ([one], Shape::AsMany) => serde_json::to_string_pretty(&sorted(one)),
        (many, _) => serde_json::to_string_pretty(&List::of(many)),
    }
    .unwrap_or_default();
    text.push('\n');
    text
}

/// The documents as YAML.
pub fn yaml(documents: &[&Diagnosis], shape: Shape) -> String {
    match (documents, shape) {
        ([one], Shape::AsMany) => serde_yaml::to_string(&sorted(one)),
        (many, _) => serde_yaml::to_string(&List::of(many)),
    }
    .unwrap_or_default()
}

/// A document with its keys in order.
fn sorted(document: &Diagnosis) -> Value {
    serde_json::to_value(document).unwrap_or_default()
}

/// A list as kubectl has it. Its documents are put in order one by one: there may be thousands.
#[derive(Serialize)]
struct List<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    #[serde(serialize_with = "one_by_one")]
    items: &'a [&'a Diagnosis],
    kind: &'static str,
    metadata: BTreeMap<String, String>,
}

impl<'a> List<'a> {
    fn of(items: &'a [&'a Diagnosis]) -> Self {
        List { api_version: "v1", items, kind: "List", metadata: BTreeMap::new() }
    }
}

fn one_by_one<S: Serializer>(documents: &&[&Diagnosis], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(documents.iter().map(|document| sorted(document)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Target, TargetKind, Verdict};
    use crate::snapshot::objects::Kind;

    fn healthy() -> Diagnosis {
        let target = ObjectRef::new(Kind::Ingress, "shop", "web");
        let spec =
            DiagnosisSpec { target: Target { kind: TargetKind::Ingress, name: "web".into(), host: None }, ..DiagnosisSpec::default() };
        of(&target, spec, DiagnosisStatus { verdict: Verdict::Healthy, ..DiagnosisStatus::default() })
    }

    #[test]
    fn a_healthy_document_says_that_nothing_was_found() {
        insta::assert_snapshot!(json(&[&healthy()], Shape::AsMany), @r#"
        {
          "apiVersion": "culprit.dev/v1alpha1",
          "kind": "Diagnosis",
          "metadata": {
            "name": "ingress-web",
            "namespace": "shop"
          },
          "spec": {
            "suspend": false,
            "target": {
              "kind": "Ingress",
              "name": "web"
            }
          },
          "status": {
            "findings": [],
            "verdict": "Healthy"
          }
        }
        "#);
    }

    #[test]
    fn a_list_stays_a_list_with_one_document_or_none() {
        let kind = |text: &str| serde_json::from_str::<Value>(text).unwrap()["kind"].clone();
        assert_eq!(kind(&json(&[&healthy()], Shape::List)), "List");
        assert_eq!(kind(&json(&[], Shape::AsMany)), "List");
        assert_eq!(kind(&json(&[&healthy(), &healthy()], Shape::AsMany)), "List");
    }

    #[test]
    fn yaml_holds_the_same_document() {
        let read: Value = serde_yaml::from_str(&yaml(&[&healthy()], Shape::AsMany)).unwrap();
        assert_eq!(read, serde_json::to_value(healthy()).unwrap());
    }
}

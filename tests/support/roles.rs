//! The rights that an installation's manifests grant.

use std::collections::BTreeSet;

use serde_json::Value;

/// The objects of a manifest.
pub fn documents(text: &str) -> Vec<Value> {
    serde_yaml::from_multiple(text).expect("the file is YAML")
}

/// The rules of a role as `group/resource verb`; of all such roles, where several namespaces have one.
pub fn rights(documents: &[Value], kind: &str, name: &str) -> BTreeSet<String> {
    let roles: Vec<&Value> = documents.iter().filter(|d| d["kind"] == kind && d["metadata"]["name"] == name).collect();
    assert!(!roles.is_empty(), "no {kind} {name}");
    let texts = |v: &Value| v.as_array().into_iter().flatten().filter_map(|t| t.as_str().map(str::to_owned)).collect::<Vec<_>>();
    let mut rights = BTreeSet::new();
    for rule in roles.into_iter().flat_map(|role| role["rules"].as_array().expect("rules")) {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                rights.extend(texts(&rule["verbs"]).iter().map(|verb| format!("{group}/{resource} {verb}")));
            }
        }
    }
    rights
}

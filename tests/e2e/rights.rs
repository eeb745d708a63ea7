//! The rights of the installation, held against what the API server saw the controller do through all the other tests.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cluster::Cluster;
use crate::roles;

const USER: &str = "system:serviceaccount:culprit-system:culprit";

/// Every right was used, and nothing was asked for that is not granted.
pub async fn are_used(cluster: &Cluster) {
    let log = cluster.output(&format!("grep -h '{USER}\"' $RUN/log/audit*.log"));
    let requests: Vec<Value> = log.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let of_resources = requests.iter().filter(|r| r["user"]["username"] == USER && r["objectRef"]["resource"].is_string());
    let used: BTreeSet<String> = of_resources.flat_map(rights_of).collect();
    let granted = granted();
    let unused: Vec<&String> = granted.difference(&used).collect();
    let ungranted: Vec<&String> = used.difference(&granted).collect();
    assert!(unused.is_empty(), "granted and never used: {unused:?}");
    assert!(ungranted.is_empty(), "asked for and not granted: {ungranted:?}");
}

/// The rights that a request took, as `group/resource verb`.
fn rights_of(request: &Value) -> Vec<String> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let object = &request["objectRef"];
    let mut resource = format!("{}/{}", text(&object["apiGroup"]), text(&object["resource"]));
    if let Some(sub) = object["subresource"].as_str() {
        resource = format!("{resource}/{sub}");
    }
    let verb = text(&request["verb"]);
    let mut rights = vec![format!("{resource} {verb}")];
    // A patch that makes its object (201) takes the right to create as well.
    if verb == "patch" && request["responseStatus"]["code"] == 201 {
        rights.push(format!("{resource} create"));
    }
    rights
}

/// The rights of the installation's roles.
fn granted() -> BTreeSet<String> {
    let documents = roles::documents(include_str!("../../deploy/culprit.yaml"));
    let names = ["culprit", "culprit-agents"];
    let roles = names.iter().flat_map(|name| ["ClusterRole", "Role"].map(|kind| (kind, name)));
    roles.flat_map(|(kind, name)| roles::rights(&documents, kind, name)).collect()
}

//! What the selectors of a check stand for.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::plan::Where;
use crate::snapshot::Snapshot;
use crate::snapshot::objects::{Operator, Pod, Selector, Text};

/// Pods of a namespace that a selector matches and that can be asked from or at: with a node and an address, running, and not on their way
/// out. One of every node comes before a second one of any, so that a sample shows all nodes.
pub fn pods(snapshot: &Snapshot, namespace: &str, selector: &LabelSelector) -> Vec<Arc<Pod>> {
    let selector = Selector::from(selector.clone());
    let mut by_node: BTreeMap<Text, Vec<Arc<Pod>>> = BTreeMap::new();
    for pod in snapshot.pods_in(namespace).filter(|p| selector.matches(&p.meta.labels) && can_be_asked(p)) {
        by_node.entry(pod.node.clone().unwrap_or_default()).or_default().push(pod.clone());
    }
    let most = by_node.values().map(Vec::len).max().unwrap_or(0);
    (0..most).flat_map(|n| by_node.values().filter_map(move |pods| pods.get(n).cloned())).collect()
}

/// Whether every operator is one that there is: a requirement that is not understood must not select more than it says.
pub fn is_understood(selector: &LabelSelector) -> bool {
    selector.match_expressions.iter().flatten().all(|e| e.operator.parse::<Operator>().is_ok())
}

fn can_be_asked(pod: &Pod) -> bool {
    pod.node.is_some() && !pod.ips.is_empty() && pod.runs() && !pod.meta.deleting
}

/// The agents' pods on the nodes that a selector matches, by the nodes' names.
pub fn agents(snapshot: &Snapshot, place: &Where<'_>, selector: &LabelSelector) -> Vec<Arc<Pod>> {
    let selector = Selector::from(selector.clone());
    let matches = |pod: &Arc<Pod>| {
        let node = pod.node.as_ref().map(|name| snapshot.node(name));
        node.is_some_and(|node| node.known().is_some_and(|n| selector.matches(&n.meta.labels)))
    };
    let is_agent = |p: &&Arc<Pod>| p.meta.labels.get(COMPONENT).is_some_and(|c| c == "agent") && can_be_asked(p);
    let mut found: Vec<Arc<Pod>> = snapshot.pods_in(place.agents).filter(is_agent).filter(|p| matches(p)).cloned().collect();
    found.sort_by(|a, b| a.node.cmp(&b.node).then_with(|| a.meta.name.cmp(&b.meta.name)));
    found.dedup_by(|a, b| a.node == b.node);
    found
}

/// The label that tells Culprit's own pods apart.
const COMPONENT: &str = "app.kubernetes.io/component";

//! What causes about pods that are not up share.

use std::sync::Arc;

use crate::api::Confidence;
use crate::causes::{Case, Cause, FindingBuilder, Missing};
use crate::snapshot::objects::{Container, Pod};

/// The pods of a Service that nobody can be sent to, because they are not ready; empty where an endpoint is ready.
pub fn not_up<'a>(case: &Case<'a>) -> Result<Vec<&'a Arc<Pod>>, Missing> {
    if !case.has_no_ready_endpoint()? {
        return Ok(Vec::new());
    }
    Ok(case.pods()?.iter().filter(|p| !p.is_ready() && !p.meta.deleting).collect())
}

/// The pods of these that have a container for which something holds, with that container. Init containers count.
pub fn with_container<'a>(pods: &[&'a Arc<Pod>], holds: impl Fn(&Container) -> bool) -> Vec<(&'a Arc<Pod>, &'a Container)> {
    let of = |pod: &'a Arc<Pod>| {
        let container = pod.init_containers.iter().chain(&pod.containers).find(|c| holds(c))?;
        Some((pod, container))
    };
    pods.iter().filter_map(|p| of(p)).collect()
}

/// A finding about pods: names the first of them, the Service, and how many there are.
pub fn finding(case: &Case<'_>, cause: &Cause, pods: &[&Arc<Pod>], confidence: Confidence, says: &str, proof: &str) -> FindingBuilder {
    let service = case.service_name();
    let count = if pods.len() > 1 { format!(" ({} pods alike)", pods.len()) } else { String::new() };
    let mut finding = cause.finding(confidence, format!("Service {service} has no ready endpoint: {says}{count}."));
    if let Some(first) = pods.first() {
        finding = finding.object(&first.reference(), "status");
    }
    if let Some(reference) = case.service_ref() {
        finding = finding.object(&reference, "");
    }
    finding.proof(case.failing_line(), proof)
}

/// The workload that owns a pod, as kubectl names it; the pod itself where nobody does. A ReplicaSet's owner is found by the workloads
/// whose template made the pod.
pub fn owner(case: &Case<'_>, pod: &Pod) -> String {
    let made = case.path.backend.workloads.iter().find(|w| crate::snapshot::objects::is_subset(&w.template_labels, &pod.meta.labels));
    match (made, &pod.meta.owner) {
        (Some(workload), _) => format!("{}/{}", workload.kind.to_string().to_lowercase(), workload.meta.name),
        (None, Some(owner)) => format!("{}/{}", owner.kind.to_lowercase(), owner.name),
        (None, None) => format!("pod/{}", pod.meta.name),
    }
}

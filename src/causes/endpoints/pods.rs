//! What causes about pods that are not up share.

use std::sync::Arc;

use crate::api::Confidence;
use crate::causes::{Case, Cause, FindingBuilder, Missing};
use crate::snapshot::objects::{ConditionStatus, Container, ContainerState, Pod, Workload};

/// The pods of a Service that nobody can be sent to, because they are not ready; empty where an endpoint is ready.
pub fn not_up<'a>(case: &Case<'a>) -> Result<Vec<&'a Arc<Pod>>, Missing> {
    if !case.has_no_ready_endpoint()? {
        return Ok(Vec::new());
    }
    Ok(case.pods()?.iter().filter(|p| !p.is_ready() && !p.meta.deleting).collect())
}

/// Whether nothing went wrong with a pod so far: its containers are on their way or run for the first time.
pub fn starting(pod: &Pod) -> bool {
    let calm = |c: &Container| {
        let started = match &c.state {
            ContainerState::Waiting { reason, .. } => matches!(reason.as_str(), "ContainerCreating" | "PodInitializing" | ""),
            ContainerState::Terminated(ended) => ended.exit_code == 0,
            ContainerState::Running { .. } | ContainerState::Unreported => true,
        };
        started && c.restarts == 0
    };
    pod.init_containers.iter().chain(&pod.containers).all(calm)
}

/// Whether a pod is on a node and none of its containers was created yet.
pub fn is_being_created(pod: &Pod) -> bool {
    let waits = |c: &Container| match &c.state {
        ContainerState::Waiting { reason, .. } => matches!(reason.as_str(), "ContainerCreating" | "PodInitializing"),
        ContainerState::Unreported => true,
        ContainerState::Running { .. } | ContainerState::Terminated(_) => false,
    };
    pod.node.is_some() && pod.init_containers.iter().chain(&pod.containers).all(waits)
}

/// Why a workload's controller could not make pods: its condition ReplicaFailure, else a warning about it.
pub fn creation_failure(case: &Case<'_>, workload: &Workload) -> Result<Option<String>, Missing> {
    let failed = workload.conditions.iter().find(|c| c.condition_type == "ReplicaFailure" && c.status == ConditionStatus::True);
    if let Some(message) = failed.and_then(|c| c.message.clone()) {
        return Ok(Some(message));
    }
    let warnings = case.warnings(&workload.reference(), &workload.meta.uid)?;
    Ok(warnings.iter().rev().find(|w| w.reason == "FailedCreate").map(|w| w.message.clone()))
}

/// The pods of these that have a container for which something holds, with that container. Init containers count.
pub fn with_container<'a>(pods: &[&'a Arc<Pod>], holds: impl Fn(&Container) -> bool) -> Vec<(&'a Arc<Pod>, &'a Container)> {
    let of = |pod: &'a Arc<Pod>| {
        let container = pod.init_containers.iter().chain(&pod.containers).find(|c| holds(c))?;
        Some((pod, container))
    };
    pods.iter().filter_map(|p| of(p)).collect()
}

/// The same without init containers.
pub fn with_own_container<'a>(pods: &[&'a Arc<Pod>], holds: impl Fn(&Container) -> bool) -> Vec<(&'a Arc<Pod>, &'a Container)> {
    pods.iter().filter_map(|p| Some((*p, p.containers.iter().find(|c| holds(c))?))).collect()
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
        (Some(workload), _) => workload.reference().argument(),
        (None, Some(owner)) => format!("{}/{}", owner.kind.to_lowercase(), owner.name),
        (None, None) => format!("pod/{}", pod.meta.name),
    }
}

use std::sync::Arc;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, FindingBuilder, Judgement, Platform, When, known};
use crate::path::{Gateway, Implementation};
use crate::probe::Signature;
use crate::snapshot::objects::{ContainerState, Kind, ObjectRef, Phase, Pod, ServiceType, Workload, is_subset};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "gateway-pod-down",
    summary: "no pod of the gateway is ready",
    hop: Hop::Gateway,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::Refused, Signature::ConnTimeout],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The Service in front of the gateway has nobody behind it: its pods are gone, do not become ready, or carry other labels than it selects.

## What you see
Clients get no connection, or 502 and 503 from the load balancer before the gateway. Every route of this gateway fails, and its access
log is silent.

## How we know
The EndpointSlices of the gateway's Service list no ready address. The state of its pods, the size of its workload and its selector say why. Where its
pods run all the same, its Service is asked as clients do: what answers there is not down, whatever the EndpointSlices say, and what meets silence there
may only be out of reach from here, so that it is Likely.

## How to fix
Bring the gateway's pods back: mend what their state says, scale the workload up, or correct the Service's selector.

## Looks like
`ingress-class-missing`: the gateway answers, but does not know the route. A load balancer without healthy targets looks the same from
outside while the gateway's pods are ready.

## Limits
A gateway that clients reach by host ports, past its Service, may still answer.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(gateway) = case.gateway()? else { return Ok(None) };
    if !(gateway.entrances.is_empty() || gateway.is_asked_at_service()) || gateway.service.service_type == ServiceType::ExternalName {
        return Ok(None);
    }
    let key = gateway.service.meta.key();
    let slices = case.snapshot.slices_of(&key);
    let Some(slices) = known(&slices, "the gateway's EndpointSlices")? else { return Ok(None) };
    let listed: Vec<_> = slices.iter().flat_map(|s| &s.endpoints).collect();
    // Ready addresses without a port for clients are another fault.
    if listed.iter().any(|e| e.ready.unwrap_or(true)) {
        return Ok(None);
    }
    let service = ObjectRef { kind: Kind::Service, key };
    let ready = if listed.is_empty() { "list no address" } else { "list no ready address" };
    let lists = format!("the EndpointSlices of Service {} {ready}", service.key);
    let why = reason_of(case, gateway, &service);
    let refused = case.failures.iter().any(|o| o.signature() == Some(Signature::Refused));
    let confidence = if gateway.is_asked_at_service() && !refused { Confidence::Likely } else { Confidence::Proven };
    let mut finding = CAUSE
        .finding(confidence, format!("Gateway Service {} has no ready endpoint: {}.", service.key, why.text))
        .object(&service, "")
        .states(&lists)
        .proof(case.failing_line(), lists)
        .fix(why.fix);
    if let Some((object, field)) = &why.object {
        finding = finding.object(object, field);
    }
    finding = why.states.into_iter().fold(finding, FindingBuilder::states);
    Ok(why.commands.into_iter().fold(finding, FindingBuilder::command).into())
}

/// Why nobody is ready, and what to do about it.
#[derive(Default)]
struct Why {
    text: String,
    object: Option<(ObjectRef, &'static str)>,
    states: Vec<String>,
    fix: &'static str,
    commands: Vec<String>,
}

fn reason_of(case: &Case<'_>, gateway: &Gateway, service: &ObjectRef) -> Why {
    let (namespace, name) = (&*service.key.namespace, &*service.key.name);
    let Some(selector) = gateway.service.selector.as_ref().filter(|s| !s.is_empty()) else {
        return Why {
            text: "it selects no pods, and its EndpointSlices are made by hand".into(),
            fix: "Write the gateway's addresses into its EndpointSlices, or select its pods.",
            commands: vec![format!("kubectl -n {namespace} get endpointslices -l kubernetes.io/service-name={name}")],
            ..Why::default()
        };
    };
    let pods: Vec<&Pod> = gateway.pods.iter().filter(|p| !p.meta.deleting).map(AsRef::as_ref).collect();
    if let Some(first) = pods.iter().find(|p| !p.is_ready()).or(pods.first()) {
        return of_pods(first, &pods);
    }
    let selects = |w: &&Arc<Workload>| w.kind != Kind::Job && is_subset(selector, &w.template_labels);
    if let Some(workload) = case.snapshot.workloads_in(namespace).find(selects) {
        return of_workload(workload);
    }
    let runs = |image: &str| gateway.implementation != Implementation::Other && Implementation::named_in(image) == gateway.implementation;
    let stray = case.snapshot.pods_in(namespace).find(|p| !p.has_ended() && p.containers.iter().any(|c| runs(&c.image)));
    let labels = selector.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
    match (stray, case.snapshot.holds_all(Kind::Pod)) {
        (Some(stray), _) => Why {
            text: format!("its selector {labels} matches no pod, though {} runs there", stray.reference()),
            object: Some((stray.reference(), "metadata.labels")),
            fix: "Select the labels that the gateway's pods carry.",
            commands: vec![format!("kubectl -n {namespace} edit service {name}")],
            ..Why::default()
        },
        (None, pods) => Why {
            text: pods.known().map_or("its pods could not be looked up".into(), |()| format!("its selector {labels} matches no pod")),
            fix: "Install the gateway's workload again, or select the labels of its pods.",
            commands: vec![format!("kubectl -n {namespace} get deployments,daemonsets,pods --show-labels")],
            ..Why::default()
        },
    }
}

fn of_workload(workload: &Workload) -> Why {
    let scalable = workload.desired == 0 && workload.kind != Kind::DaemonSet;
    Why {
        text: match workload.desired {
            0 => format!("{} wants no pods", workload.reference()),
            n => format!("{} wants {n} pods and has none", workload.reference()),
        },
        object: Some((workload.reference(), if scalable { "spec.replicas" } else { "" })),
        fix: "Let the gateway's workload make pods again.",
        commands: vec![match scalable {
            true => workload.reference().kubectl("scale") + " --replicas=1",
            false => workload.reference().kubectl("describe"),
        }],
        ..Why::default()
    }
}

fn of_pods(first: &Pod, pods: &[&Pod]) -> Why {
    let (namespace, name) = (&first.meta.namespace, &first.meta.name);
    let mut commands = vec![format!("kubectl -n {namespace} describe pod {name}")];
    if first.containers.iter().any(|c| c.restarts > 0) {
        commands.push(format!("kubectl -n {namespace} logs {name} --previous"));
    }
    let reason = pods.iter().filter(|p| !p.is_ready()).find_map(|p| reason(p)).map_or_else(String::new, |r| format!(" ({r})"));
    Why {
        text: match pods.len() {
            _ if pods.iter().all(|p| p.is_ready()) => "its pods are ready, and no EndpointSlice says so".into(),
            1 => format!("its only pod is not ready{reason}"),
            n => format!("none of its {n} pods is ready{reason}"),
        },
        object: Some((first.reference(), "status")),
        states: pods.iter().take(3).map(|p| format!("{}: {}", p.reference(), state(p))).collect(),
        fix: "Bring the gateway's pods back; their state and log say what keeps them.",
        commands,
    }
}

/// The reason that a pod gives for not being ready, in few words. A container that ends again and again is waiting, running and ended
/// by turns, which is one reason.
fn reason(pod: &Pod) -> Option<String> {
    if pod.containers.iter().any(|c| c.restarts > 0) {
        return Some("it keeps restarting".into());
    }
    let of_container = pod.containers.iter().chain(&pod.init_containers).find_map(|c| match &c.state {
        ContainerState::Waiting { reason, .. } => Some(reason.clone()),
        ContainerState::Terminated(ended) => Some(ended.reason.clone()),
        ContainerState::Running { .. } | ContainerState::Unreported => None,
    });
    let of_scheduler = || pod.condition("PodScheduled").and_then(|c| c.reason.clone()).filter(|_| pod.phase == Phase::Pending);
    of_container.or_else(of_scheduler).filter(|r| !r.is_empty())
}

fn state(pod: &Pod) -> String {
    let message = ["PodScheduled", "Ready"].into_iter().filter_map(|c| pod.condition(c)).find_map(|c| c.message.clone());
    let words = [reason(pod), message].into_iter().flatten().collect::<Vec<_>>();
    if words.is_empty() { format!("{}, ready: {}", pod.phase, pod.is_ready()) } else { words.join(", ") }
}

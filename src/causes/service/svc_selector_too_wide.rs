use std::collections::{BTreeMap, BTreeSet};

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndpointView, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::{Labels, Pod, Text};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "svc-selector-too-wide",
    summary: "the Service's selector also matches pods of another workload, which fail",
    hop: Hop::Service,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::Refused, Signature::Relayed, Signature::HdrBad],
    explains: &[
        "app-binds-loopback",
        "app-closes-connection",
        "app-never-answers",
        "app-not-http-on-port",
        "app-returns-5xx",
        "app-wrong-port",
        "backend-plain-to-tls-pod",
        "no-readiness-slow-start",
        "svc-targetport-wrong",
    ],
    since: "0.1.0",
    docs: r"
## What it means
Pods of two workloads carry the Service's labels. One of them is the application; the other, a job, a canary or another tier, does not serve these requests, and gets its share
of them.

## What you see
A constant share of requests fails, equal to the share of foreign pods among the endpoints.

## How we know
The endpoints are asked one by one: all that fail belong to one workload, and all that answer to another.

## How to fix
Add a label to the selector that only the application's pods have.

## Looks like
A rollout whose new version is broken: there both versions belong to the same workload. A canary is foreign on purpose, and answers.

## Limits
It needs one endpoint that answers; pods are told apart by the workload that owns them.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(service) = case.service()? else { return Ok(None) };
    let Some(selector) = service.selector.as_ref() else { return Ok(None) };
    let mut by_owner: BTreeMap<String, Vec<EndpointView<'_>>> = BTreeMap::new();
    for view in case.walked()? {
        let Some(pod) = view.endpoint.pod.known() else { return Ok(None) };
        by_owner.entry(owner(pod)).or_default().push(view);
    }
    let answers = |v: &EndpointView<'_>| v.seen.response().is_some_and(|r| r.status < 500) && v.seen.signature().is_none();
    let good: Vec<&String> = by_owner.iter().filter(|(_, views)| views.iter().all(answers)).map(|(o, _)| o).collect();
    let bad: Vec<&String> = by_owner.iter().filter(|(_, views)| !views.iter().any(answers)).map(|(o, _)| o).collect();
    if good.is_empty() || bad.is_empty() || good.len() + bad.len() != by_owner.len() {
        return Ok(None);
    }
    let failing = &by_owner[bad[0]][0];
    let working = &by_owner[good[0]][0];
    let (Some(own), Some(foreign), Some(reference)) = (working.endpoint.pod.known(), failing.endpoint.pod.known(), case.service_ref())
    else {
        return Ok(None);
    };
    let count: usize = bad.iter().map(|o| by_owner[*o].len()).sum();
    let message = format!(
        "The selector of {reference} also matches the pods of {}, which do not serve these requests ({}).",
        bad[0],
        case.share(count)
    );
    let mut finding = CAUSE
        .finding(Confidence::Proven, message)
        .object(&reference, "spec.selector")
        .object(&foreign.reference(), "metadata.labels")
        .saw(failing.seen)
        .saw(working.seen)
        .states(format!("{} belongs to {}, {} to {}", foreign.reference(), bad[0], own.reference(), good[0]))
        .proof(failing.seen.to_string(), working.seen.to_string())
        .fix("Add a label to the selector that only the application's pods have.");
    if let Some((key, value)) = only_ours(&own.meta.labels, &foreign.meta.labels, selector) {
        let patch = serde_json::json!({"spec": {"selector": {key: value}}});
        finding = finding.command(format!("kubectl -n {} patch service {} -p '{patch}'", service.meta.namespace, service.meta.name));
    }
    Ok(finding.command(format!("kubectl -n {} get pods --show-labels", service.meta.namespace)).into())
}

/// The workload that a pod belongs to. A ReplicaSet's name ends in the hash of its template; without it, it is the Deployment's.
fn owner(pod: &Pod) -> String {
    // Pods that were made by hand cannot be told apart by who made them.
    let Some(owner) = &pod.meta.owner else { return "no workload".into() };
    let hash = pod.meta.labels.get("pod-template-hash").map(|h| format!("-{h}")).unwrap_or_default();
    match owner.name.strip_suffix(&hash).filter(|_| owner.kind == "ReplicaSet" && !hash.is_empty()) {
        Some(name) => format!("deployment/{name}"),
        None => format!("{}/{}", owner.kind.to_lowercase(), owner.name),
    }
}

/// A label that the application's pods have and the foreign ones do not; those that every rollout changes are no use.
fn only_ours(own: &Labels, foreign: &Labels, selector: &Labels) -> Option<(Text, Text)> {
    let passing: BTreeSet<&str> = ["pod-template-hash", "controller-revision-hash", "pod-template-generation"].into();
    let usable = |key: &Text| !passing.contains(key.as_str()) && !selector.contains_key(key);
    own.iter().find(|(k, v)| usable(k) && foreign.get(k) != Some(v)).map(|(k, v)| (k.clone(), v.clone()))
}

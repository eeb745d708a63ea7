use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use std::collections::BTreeMap;

use crate::snapshot::objects::{Labels, ObjectRef, Text};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "svc-selector-mismatch",
    summary: "the Service's selector matches no pod",
    hop: Hop::Service,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint, Signature::Refused],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
No pod carries all labels that the Service selects by, so it has no endpoints.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services; refused where the gateway uses the Service's address.

## How we know
No pod and no workload's pod template in the namespace has the selector's labels. What comes nearest to them is named with the labels that differ.

## How to fix
Write the pods' labels into the selector.

## Looks like
`scaled-to-zero` has a workload under the selector; `eps-all-not-ready` has pods under it.

## Limits
Where nothing in the namespace comes near, the workload may never have been deployed; the finding is Likely then.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    if !case.has_no_ready_endpoint()? {
        return Ok(None);
    }
    let Some(service) = case.service()? else { return Ok(None) };
    let Some(selector) = &service.selector else { return Ok(None) };
    if !case.pods()?.is_empty() || !case.workloads()?.is_empty() {
        return Ok(None);
    }
    let Some(reference) = case.service_ref() else { return Ok(None) };
    let wanted = text(selector);
    let near = nearest(case, selector, &service.meta.name);
    let confidence = if near.is_some() { Confidence::Proven } else { Confidence::Likely };
    let message = match &near {
        Some((object, labels)) => {
            format!(
                "{reference} selects pods with {wanted}, and no pod has these labels; {object} makes pods with {}.",
                text(&differing(selector, labels))
            )
        }
        None => format!("{reference} selects pods with {wanted}, and no pod of the namespace has these labels."),
    };
    let mut finding = CAUSE
        .finding(confidence, message)
        .object(&reference, "spec.selector")
        .states(format!("{reference} selects {wanted}"))
        .proof(case.failing_line(), format!("no pod of namespace {} has {wanted}", case.namespace()))
        .fix("Write the labels of the pods into the Service's selector.")
        .command(format!("kubectl -n {} get pods --show-labels", case.namespace()));
    if let Some((object, labels)) = &near {
        let patch = serde_json::json!({"spec": {"selector": patch(selector, labels)}});
        finding = finding
            .object(object, "labels")
            .states(format!("{object} makes pods with {}", text(labels)))
            .command(format!("kubectl -n {} patch service {} -p '{patch}'", service.meta.namespace, service.meta.name));
    }
    Ok(finding.into())
}

fn text(labels: &Labels) -> String {
    labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
}

/// The workload or pod whose labels come nearest to the selector.
fn nearest(case: &Case<'_>, selector: &Labels, name: &str) -> Option<(ObjectRef, Labels)> {
    let namespace = case.namespace();
    let workloads =
        case.snapshot.workloads_in(namespace).filter(|w| w.meta.owner.is_none()).map(|w| (w.reference(), w.template_labels.clone()));
    let pods = case
        .snapshot
        .pods_in(namespace)
        .filter(|p| !p.has_ended() && p.meta.owner.is_none())
        .map(|p| (p.reference(), p.meta.labels.clone()));
    let scored = workloads.chain(pods).map(|(object, labels)| (score(selector, &labels, name, &object.key.name), object, labels));
    let best = scored.filter(|(score, _, _)| *score >= 0.5).max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(&a.1)))?;
    Some((best.1, best.2))
}

/// How near labels come to a selector: 1 for each label by value, less for one that only looks like it, and a little for the name.
fn score(selector: &Labels, labels: &Labels, service: &str, name: &str) -> f64 {
    let one = |(key, value): (&Text, &Text)| match labels.get(key) {
        Some(has) if has == value => 1.0,
        Some(has) => strsim::normalized_damerau_levenshtein(has, value) * 0.9,
        // Labels that say whose pod it is often move between app, app.kubernetes.io/name and the like.
        None => labels.values().map(|has| strsim::normalized_damerau_levenshtein(has, value)).fold(0.0, f64::max) * 0.8,
    };
    let sum: f64 = selector.iter().map(one).sum();
    let same_name = if name == service { 0.5 } else { 0.0 };
    sum / f64::from(u32::try_from(selector.len()).unwrap_or(1).max(1)) + same_name
}

/// The labels that a person has to look at: those of the selector's keys that differ, else all.
fn differing(selector: &Labels, labels: &Labels) -> Labels {
    let same_key: Labels =
        labels.iter().filter(|(k, v)| selector.get(k).is_some_and(|s| s != *v)).map(|(k, v)| (k.clone(), v.clone())).collect();
    if same_key.is_empty() { labels.clone() } else { same_key }
}

/// What turns the selector into one that matches: differing values replaced, keys that the pods do not have taken out.
fn patch(selector: &Labels, labels: &Labels) -> BTreeMap<Text, Option<Text>> {
    let mut patch: BTreeMap<Text, Option<Text>> =
        selector.iter().filter(|(k, v)| labels.get(k) != Some(v)).map(|(k, _)| (k.clone(), labels.get(k).cloned())).collect();
    let kept = selector.keys().any(|k| labels.contains_key(k));
    if !kept {
        let stable = labels.iter().filter(|(k, _)| *k != "pod-template-hash");
        patch.extend(stable.map(|(k, v)| (k.clone(), Some(v.clone()))));
    }
    patch
}

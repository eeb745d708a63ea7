use crate::api::{Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "quota-blocks-pods",
    summary: "a ResourceQuota leaves no room for the workload's pods",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &["eps-all-not-ready", "rollout-stuck-new-rs-bad", "rollout-unavailable", "pod-creation-rejected"],
    since: "0.1.0",
    docs: r"
## What it means
The workload wants pods, and the API server refuses to create them, because a ResourceQuota of the namespace is used up or asks for limits that the pods do not state.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services. `kubectl get pods` shows nothing, so nothing seems wrong.

## How we know
No pod of the Service is there, the workload wants some, and its condition ReplicaFailure or an Event FailedCreate names the quota.

## How to fix
Raise the quota, free some of it, or let the pods ask for less.

## Looks like
`pod-creation-rejected` is refused for another reason; `scaled-to-zero` wants no pods.

## Limits
Which other pods use the quota up is not shown.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    super::pod_creation_rejected::rejection(case, &CAUSE, is_quota, |workload, namespace| {
        (
            "Raise the quota, free some of it, or let the pods ask for less.",
            vec![format!("kubectl -n {namespace} describe resourcequota"), format!("kubectl -n {namespace} edit {workload}")],
        )
    })
}

/// Whether a refusal is a quota's (apiserver `plugin/resourcequota`: "exceeded quota", "failed quota … must specify", "status unknown for
/// quota").
pub(super) fn is_quota(message: &str) -> bool {
    ["exceeded quota", "failed quota", "status unknown for quota"].iter().any(|words| message.contains(words))
}

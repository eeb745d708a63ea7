use super::pods;
use super::quota_blocks_pods::is_quota;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "pod-creation-rejected",
    summary: "the API server refuses to create the workload's pods",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &["eps-all-not-ready", "rollout-stuck-new-rs-bad", "rollout-unavailable"],
    since: "0.1.0",
    docs: r"
## What it means
The workload wants pods, and the API server refuses to create them: the ServiceAccount does not exist, Pod Security or an admission webhook forbids them, a limit
range excludes them.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services. `kubectl get pods` shows nothing, so nothing seems wrong.

## How we know
No pod of the Service is there, the workload wants some, and its condition ReplicaFailure or an Event FailedCreate gives the API server's words.

## How to fix
Create or change what the message names. The controller tries again, after longer and longer pauses; a restart of the rollout makes it try at once.

## Looks like
`quota-blocks-pods` where the message names a quota; `scaled-to-zero` wants no pods; `svc-selector-mismatch` has no workload under the selector.

## Limits
For kinds without a condition of their own it rests on Events, which are kept for an hour by default.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    rejection(
        case,
        &CAUSE,
        |message| !is_quota(message),
        |workload, namespace| {
            (
                "Create or change what the message names.",
                vec![format!("kubectl -n {namespace} describe {workload}"), format!("kubectl -n {namespace} rollout restart {workload}")],
            )
        },
    )
}

/// A workload that wants pods and gets none, with the API server's words where they fit.
pub(super) fn rejection(
    case: &Case<'_>,
    cause: &Cause,
    fits: fn(&str) -> bool,
    fix: fn(&str, &str) -> (&'static str, Vec<String>),
) -> Judgement {
    if !case.has_no_ready_endpoint()? || case.pods()?.iter().any(|p| !p.meta.deleting) {
        return Ok(None);
    }
    for workload in case.workloads()?.iter().filter(|w| w.desired > 0) {
        let Some(message) = pods::creation_failure(case, workload)?.filter(|m| fits(m)) else { continue };
        let message = own_words(&message);
        let name = workload.reference().argument();
        let (summary, commands) = fix(&name, &workload.meta.namespace);
        let text = format!("Service {} has nobody to call: {} gets no pods: {message}.", case.service_name(), workload.reference());
        let mut finding = cause
            .finding(Confidence::Proven, text)
            .object(&workload.reference(), "status.conditions")
            .states(format!("{} wants pods and gets none: {message}", workload.reference()))
            .proof(case.failing_line(), message)
            .fix(summary);
        for command in commands {
            finding = finding.command(command);
        }
        return Ok(finding.into());
    }
    Ok(None)
}

/// The reason without the name of the pod that was tried, which is another one each time.
fn own_words(message: &str) -> String {
    let words = message.strip_prefix("Error creating: ").unwrap_or(message);
    let words = match words.split_once(" is forbidden: ") {
        Some((pod, rest)) if pod.starts_with("pods ") => rest,
        _ => words,
    };
    words.trim_end().trim_end_matches('.').to_owned()
}

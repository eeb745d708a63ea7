use super::pods;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "sandbox-cni-failed",
    summary: "the pods get no network: their sandbox cannot be created",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &["eps-all-not-ready", "rollout-stuck-new-rs-bad", "rollout-unavailable", "volume-mount-failed"],
    since: "0.1.0",
    docs: r"
## What it means
Before its containers a pod gets a sandbox with a network of its own. The network plugin fails: no free address, no plugin, no connection to its agent.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services. Pods stay in `ContainerCreating`, often all new ones of one node.

## How we know
The pods are on a node, none of their containers was created, and an Event FailedCreatePodSandBox about them says why.

## How to fix
Mend the network plugin or its address pool on the node that the finding names.

## Looks like
`volume-mount-failed` waits in the same state for a volume.

## Limits
Events are kept for an hour by default. Where they cannot be read, the cause stays unknown.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let held = pods::not_up(case)?;
    let mut stuck = Vec::new();
    for pod in held.iter().filter(|p| pods::is_being_created(p)) {
        let warnings = case.warnings(&pod.reference(), &pod.meta.uid)?;
        if let Some(warning) = warnings.iter().rev().find(|w| w.reason == "FailedCreatePodSandBox") {
            stuck.push((*pod, short(&warning.message)));
        }
    }
    let Some((first, message)) = stuck.first() else { return Ok(None) };
    let alike: Vec<_> = stuck.iter().map(|(p, _)| *p).collect();
    let node = first.node.as_deref().unwrap_or_default();
    let says = format!("{} gets no network on node {node}: {message}", first.reference());
    Ok(pods::finding(case, &CAUSE, &alike, Confidence::Proven, &says, message)
        .happened(format!("{}: {message}", first.reference()))
        .fix(format!("Mend the network plugin or its address pool on node {node}."))
        .command(format!("kubectl get pods -A --field-selector spec.nodeName={node} -o wide"))
        .command(format!("kubectl -n {} describe pod {}", first.meta.namespace, first.meta.name))
        .into())
}

/// The plugin's own words: what the runtime puts before them holds the sandbox' id, which is another one at each try.
fn short(message: &str) -> String {
    let words = message
        .rsplit_once("failed (add): ")
        .or_else(|| message.rsplit_once("rpc error: code = Unknown desc = "))
        .map_or(message, |(_, rest)| rest);
    words.trim_end().trim_end_matches('.').to_owned()
}

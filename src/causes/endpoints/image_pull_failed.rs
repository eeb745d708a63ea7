use super::pods;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::ContainerState;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "image-pull-failed",
    summary: "the image of the pods behind the Service cannot be pulled",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &["eps-all-not-ready", "rollout-stuck-new-rs-bad"],
    since: "0.1.0",
    docs: r"
## What it means
The node cannot get the container's image: the name or tag does not exist, the registry refuses the credentials, or it cannot be reached.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services. Pods show `ErrImagePull` or `ImagePullBackOff`.

## How we know
A container of the Service's pods waits with the reason ErrImagePull, ImagePullBackOff, InvalidImageName or ErrImageNeverPull.

## How to fix
Correct the image, or give the pods credentials for the registry. `kubectl rollout undo` brings back the last image that worked.

## Looks like
`config-or-secret-missing` waits as well, but names an object instead of an image.

## Limits
While other replicas still serve, the route works and nothing is said.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    const REASONS: &[&str] = &["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"];
    let found = pods::with_container(
        &pods::not_up(case)?,
        |c| matches!(&c.state, ContainerState::Waiting { reason, .. } if REASONS.contains(&reason.as_str())),
    );
    let Some((pod, container)) = found.first() else { return Ok(None) };
    let ContainerState::Waiting { reason, message } = &container.state else { return Ok(None) };
    let alike: Vec<_> = found.iter().map(|(pod, _)| *pod).collect();
    let owner = pods::owner(case, pod);
    // The kubelet words the message anew with each back-off, so only the reason goes where changes are compared.
    let says = format!("the image {} of {} cannot be pulled", container.image, pod.reference());
    let mut finding =
        pods::finding(case, &CAUSE, &alike, Confidence::Proven, &says, &format!("container {} waits: {reason}", container.name))
            .states(format!("container {} waits: {reason} for {}", container.name, container.image))
            .fix("Correct the image's name or tag, or the registry's credentials.");
    if reason == "InvalidImageName" && !message.is_empty() {
        finding = finding.states(message.clone());
    }
    Ok(finding
        .command(format!("kubectl -n {} set image {owner} {}=IMAGE:TAG", pod.meta.namespace, container.name))
        .command(format!("kubectl -n {} describe pod {}", pod.meta.namespace, pod.meta.name))
        .into())
}

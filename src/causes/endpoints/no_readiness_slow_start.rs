use jiff::SignedDuration;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndpointView, Judgement, Platform, When, ports};
use crate::probe::Signature;
use crate::snapshot::objects::{ContainerState, Pod};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "no-readiness-slow-start",
    summary: "requests reach pods that have just started and do not listen yet",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::Refused],
    explains: &["app-not-listening-yet"],
    since: "0.1.0",
    docs: r"
## What it means
The containers have no readiness probe, so Kubernetes takes them as ready the moment they run. The application needs longer, and requests come before it listens.

## What you see
Connection refused for the first seconds of each pod: 502 on Traefik, nginx and Caddy, 503 on HAProxy, Envoy and Apache, at every start and every deployment.

## How we know
The pods that refuse are ready, have no readiness probe, run for the first time, and for less than half a minute.

## How to fix
Add a readiness probe that asks for what users ask for.

## Looks like
`app-binds-loopback`, `app-wrong-port` and `svc-targetport-wrong` still refuse when the pods are older.

## Limits
Until the application listens it cannot be told from one that never will; the finding is Likely.
",
    check,
};

/// A container that does not listen after this has another trouble.
const YOUNG: SignedDuration = SignedDuration::from_secs(25);

fn check(case: &Case<'_>) -> Judgement {
    let refused = case.walked_with(&[Signature::Refused])?;
    let young: Vec<_> = refused.iter().filter_map(|v| Some((v, v.endpoint.pod.known().filter(|p| has_just_started(p, v))?))).collect();
    if young.is_empty() || young.len() != refused.len() {
        return Ok(None);
    }
    let Some((first, pod)) = young.first() else { return Ok(None) };
    // What is told to listen elsewhere will not listen here.
    let port = first.endpoint.port.unwrap_or_default();
    let hints = ports::Hints::of(pod.containers.iter());
    if hints.loopback_at(port).is_some() || hints.ports().any(|(told, _)| told != port) {
        return Ok(None);
    }
    let declared: Vec<u16> = ports::declared(pod).filter(|(_, name)| !name.is_some_and(ports::is_auxiliary)).map(|(p, _)| p).collect();
    if !declared.is_empty() && !declared.contains(&port) {
        return Ok(None);
    }
    let says = format!("{} has just started, has no readiness probe, and counts as ready", pod.reference());
    Ok(CAUSE
        .finding(
            Confidence::Likely,
            format!(
                "The pods of Service {} get requests before they listen: they have just started and have no readiness probe ({}).",
                case.service_name(),
                case.share(young.len())
            ),
        )
        .object(&pod.reference(), "spec.containers[].readinessProbe")
        .saw(first.seen)
        .states(says.clone())
        .proof(first.seen.to_string(), says)
        .fix("Add a readiness probe that asks for what users ask for.")
        .command(format!("kubectl -n {} edit {}", pod.meta.namespace, super::pods::owner(case, pod)))
        .into())
}

fn has_just_started(pod: &Pod, view: &EndpointView<'_>) -> bool {
    let young = |c: &crate::snapshot::objects::Container| match c.state {
        ContainerState::Running { since: Some(since) } => c.restarts == 0 && view.seen.at.duration_since(since).abs() < YOUNG,
        _ => false,
    };
    pod.is_ready() && pod.containers.iter().all(|c| c.readiness.is_none()) && pod.containers.iter().any(young)
}

use super::meant::{self, Meant};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-start-order",
    summary: "the gateway was started before what it sends requests to",
    hop: Hop::Gateway,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::DnsFail, Signature::Refused],
    explains: &["docker-gateway-exited"],
    since: "0.1.0",
    docs: r"
## What it means
The gateway looks its upstream's name up when it starts. The container behind it was not there yet, so the gateway ended; now it is there, and nobody starts the gateway again.

## What you see
Nothing answers at the gateway's port; its log says that the name was not found; the name is right, and its container runs.

## How we know
The gateway has ended, its log says that the name was not found, and a running container goes by that name on a network of the gateway, started after it.

## How to fix
Start the gateway again. `depends_on: {app: {condition: service_healthy}}` keeps the order, a restart policy makes up for it.

## Looks like
`docker-alias-typo`, `docker-different-networks`: the name is not found now either.

## Limits
Without the gateway's log it is never named.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(name) = meant::unresolved(case)? else { return Ok(None) };
    let (Meant::There(container), Some(said)) = (&name.meant, name.said) else { return Ok(None) };
    let gateway = &name.route.gateway;
    let later = container.state.started > gateway.state.started;
    let confidence = if later { Confidence::Proven } else { Confidence::Likely };
    let order = if later { format!("{} was started after it", container.name) } else { format!("{} runs now", container.name) };
    let message = format!("The gateway {} ended because it did not find {} when it started; {order}.", gateway.name, name.name());
    let started =
        |c: &crate::snapshot::objects::docker::Container| c.state.started.map_or_else(|| "unknown".to_owned(), |at| at.to_string());
    let passing = format!("{} runs since {}, {} was started at {}", container.name, started(container), gateway.name, started(gateway));
    Ok(name
        .evidence(CAUSE.finding(confidence, message))
        .object(&container.reference(), "State.StartedAt")
        .states(passing.clone())
        .proof(format!("log of {}: {said}", gateway.name), passing)
        .fix("Start the gateway again; `depends_on` with `condition: service_healthy` keeps the order.")
        .command(format!("docker start {}", gateway.name))
        .into())
}

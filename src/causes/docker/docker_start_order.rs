use super::meant::{self, Meant};
use super::refused::{self, Fault};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::docker::Container;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-start-order",
    summary: "the gateway was started before what it sends requests to was ready",
    hop: Hop::Gateway,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::DnsFail, Signature::Refused],
    explains: &["docker-gateway-exited"],
    since: "0.1.0",
    docs: r"
## What it means
The gateway looks its upstream's name up when it starts. The container behind it was not there yet, so the gateway ended; now it is there, and nobody starts the gateway again. Or the gateway runs, and what it sends requests to was
started only just now and does not listen yet.

## What you see
Nothing answers at the gateway's port; its log says that the name was not found; the name is right, and its container runs. Or 502 for some seconds after a start.

## How we know
The gateway has ended, its log says that the name was not found, and a running container goes by that name on a network of the gateway, started after it. Or the port refuses in a container that runs for less than fifteen
seconds and listens on nothing that answers: that is Likely.

## How to fix
Start the gateway again. `depends_on: {app: {condition: service_healthy}}` keeps the order, a restart policy makes up for it.

## Looks like
`docker-alias-typo`, `docker-different-networks`: the name is not found now either.

## Limits
Of a gateway that ended it is never named without the gateway's log.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(name) = meant::unresolved(case)? else { return still_starting(case) };
    let (Meant::There(container), Some(said)) = (&name.meant, name.said) else { return Ok(None) };
    let gateway = &name.route.gateway;
    let later = container.state.started > gateway.state.started;
    let confidence = if later { Confidence::Proven } else { Confidence::Likely };
    let order = if later { format!("{} was started after it", container.name) } else { format!("{} runs now", container.name) };
    let message = format!("The gateway {} ended because it did not find {} when it started; {order}.", gateway.name, name.name());
    let passing = format!("{} runs since {}, {} was started at {}", container.name, started(container), gateway.name, started(gateway));
    Ok(name
        .evidence(CAUSE.finding(confidence, message))
        .object(&container.reference(), "State.StartedAt")
        .states(passing.clone())
        .proof(format!("log of {}: {said}", gateway.name), passing)
        .fix(FIX)
        .command(format!("docker start {}", gateway.name))
        .into())
}

const FIX: &str = "Start the gateway again; `depends_on` with `condition: service_healthy` keeps the order.";

fn started(container: &Container) -> String {
    container.state.started.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string())
}

/// A container that was only just started, and does not listen yet.
fn still_starting(case: &Case<'_>) -> Judgement {
    let Some(refused) = refused::refused(case)?.filter(|r| r.fault() == Fault::Starting) else { return Ok(None) };
    let (name, since) = (&refused.container.name, started(refused.container));
    let message = format!("{}, but {name} was only just started and does not listen there yet.", refused.sends());
    Ok(refused
        .evidence(CAUSE.finding(Confidence::Likely, message))
        .states(format!("{name} runs since {since}"))
        .fix("Wait until it listens; a health check and `depends_on` with `condition: service_healthy` keep the order.")
        .into())
}

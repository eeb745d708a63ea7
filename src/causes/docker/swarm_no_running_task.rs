use super::swarm;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "swarm-no-running-task",
    summary: "the Swarm service behind the gateway has no task that runs",
    hop: Hop::Service,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach, Signature::Refused],
    explains: &["docker-subnet-overlap", "docker-forward-drop"],
    since: "0.1.0",
    docs: r"
## What it means
The service exists, and no task of it runs: a constraint that no node meets, an image that is not found, a health check that fails, or a scale of nought.

## What you see
The service's name gives an address, and connections to it are refused or lost.

## How we know
Inside the gateway the name gives an address in an overlay network, `tasks.NAME` gives none, and a connection to that address fails.

## How to fix
`docker service ps --no-trunc` says why tasks do not run.

## Looks like
`swarm-vip-stale`: there are tasks, and they answer.

## Limits
Why no task runs is known to a manager of the Swarm, which this engine may not be.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(service) = swarm::service(case)?.filter(|s| s.tasks.is_empty()) else { return Ok(None) };
    // What an engine of its own has there is a container, and no service.
    if service.container_of(service.to.ip()).is_some() {
        return Ok(None);
    }
    let seen = service.seen(case)?;
    if seen.signature().is_none() {
        return Ok(None);
    }
    let message = format!("{} sends requests to service {}, which has no task that runs.", service.route.gateway.name, service.name);
    Ok(CAUSE
        .finding(Confidence::Proven, message)
        .object(&service.network.reference(), "")
        .saw(seen)
        .saw(service.lookup)
        .saw(service.task_lookup)
        .proof(seen.to_string(), format!("{}; {}", service.task_lookup, service.lookup))
        .fix("See why its tasks do not run, and mend that.")
        .command(format!("docker service ps --no-trunc {}", service.name))
        .into())
}

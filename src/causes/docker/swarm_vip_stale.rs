use super::swarm;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "swarm-vip-stale",
    summary: "a Swarm service's own address leads nowhere, while its tasks answer",
    hop: Hop::Service,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach, Signature::Refused],
    explains: &["docker-subnet-overlap", "docker-forward-drop"],
    since: "0.1.0",
    docs: r"
## What it means
A service of a Swarm has an address of its own, which every node translates to one of its tasks. The node's table for it is out of date or broken.

## What you see
502 or 504, by turns or always, on this node; the tasks run and answer.

## How we know
Inside the gateway the service's name gives an address that is no task's, a connection there fails, and one to an address that `tasks.NAME` gives is accepted.

## How to fix
Update the service by force, so that its address is written anew; or let its name give the tasks' addresses (`endpoint_mode: dnsrr`).

## Looks like
`swarm-no-running-task`: there are no tasks. `swarm-overlay-ports-blocked`: tasks on other nodes do not answer.

## Limits
Asked from this engine's node alone.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(service) = swarm::service(case)?.filter(|s| s.has_own_address() && !s.tasks.is_empty()) else { return Ok(None) };
    let seen = service.seen(case)?;
    if seen.signature().is_none() {
        return Ok(None);
    }
    let tasks = service.tasks_seen(case)?;
    let Some(answer) = tasks.iter().find(|o| o.signature().is_none()) else { return Ok(None) };
    let message = format!(
        "The address {} of service {} leads nowhere on this node, while its tasks answer ({} sends requests to it).",
        service.to.ip(),
        service.name,
        service.route.gateway.name
    );
    Ok(CAUSE
        .finding(Confidence::Proven, message)
        .object(&service.network.reference(), "")
        .saw(service.lookup)
        .saw(service.task_lookup)
        .saw(seen)
        .saw(answer)
        .proof(seen.to_string(), answer.to_string())
        .fix("Update the service by force, or give it the endpoint mode `dnsrr`.")
        .command(format!("docker service update --force {}", service.name))
        .command(format!("docker service update --endpoint-mode dnsrr {}", service.name))
        .into())
}

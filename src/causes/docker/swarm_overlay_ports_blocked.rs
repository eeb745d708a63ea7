use super::swarm;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::{Observation, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "swarm-overlay-ports-blocked",
    summary: "tasks on this node answer, and those on other nodes of the Swarm do not",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach],
    explains: &["swarm-vip-stale", "docker-subnet-overlap", "docker-forward-drop"],
    since: "0.1.0",
    docs: r"
## What it means
An overlay network carries packets between nodes over UDP port 4789, and what nodes know of each other over TCP and UDP port 7946. A firewall between them takes these, or another program has port 4789.

## What you see
504 for the share of requests that goes to other nodes; those that stay on this node work.

## How we know
Inside the gateway `tasks.NAME` gives addresses of tasks on this node and elsewhere. Those on this node accept a connection, and none of the others answers.

## How to fix
Open TCP and UDP 7946 and UDP 4789 between all nodes; where 4789 is taken, make the Swarm with another `--data-path-port`.

## Looks like
`swarm-vip-stale`: all tasks answer, and the service's own address does not.

## Limits
Asked from one node alone, so that a node that is down looks the same: it is Likely. Without a task on this node nothing is said.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(service) = swarm::service(case)? else { return Ok(None) };
    let tasks = service.tasks_seen(case)?;
    let is_local = |o: &&&Observation| o.probe.address().is_some_and(|to| service.container_of(to.ip()).is_some());
    let (local, remote): (Vec<&Observation>, Vec<&Observation>) = tasks.iter().partition(|o| is_local(o));
    let lost = |o: &&Observation| o.signature().is_some_and(|s| CAUSE.signatures.contains(&s));
    let (Some(answer), Some(failing)) = (local.first(), remote.first()) else { return Ok(None) };
    if !remote.iter().all(lost) || local.iter().any(|o| o.signature().is_some()) {
        return Ok(None);
    }
    let message = format!(
        "Tasks of service {} on this node answer, and {} on other nodes {} not: packets of network {} are lost between nodes.",
        service.name,
        remote.len(),
        if remote.len() == 1 { "does" } else { "do" },
        service.network.name
    );
    let mut finding = CAUSE.finding(Confidence::Likely, message).object(&service.network.reference(), "");
    for seen in remote.iter().chain(&local) {
        finding = finding.saw(seen);
    }
    Ok(finding
        .proof(failing.to_string(), answer.to_string())
        .fix("Open TCP and UDP 7946 and UDP 4789 between all nodes.")
        .command("tcpdump -ni any udp port 4789   # on both nodes")
        .into())
}

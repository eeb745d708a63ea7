use super::state::{self, Reason};
use crate::api::{Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use crate::snapshot::objects::docker::NetworkMode;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-netns-owner-dead",
    summary: "the container lives in the network of another one that is gone or was started anew",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::Refused, Signature::HostUnreach, Signature::NetUnreach, Signature::DnsFail],
    explains: &[
        "docker-container-created-not-started",
        "docker-container-exited",
        "docker-different-networks",
        "docker-gateway-exited",
        "docker-alias-typo",
    ],
    since: "0.1.0",
    docs: r"
## What it means
With `network_mode: service:X` or `container:X` a container has no network of its own. When X ends or is started anew, the network that was shared is gone, and whoever lived in it keeps an empty one: loopback alone.

## What you see
Connection refused or no route, although the container says that it runs. One that is to be started then fails with `cannot join network namespace of a non running container`.

## How we know
The container's network mode names another one that is gone, does not run, or was started after it.

## How to fix
Start both together anew: `docker compose up -d --force-recreate`.

## Looks like
`docker-container-exited`: nobody shares that network.

## Limits
Where the owner was started within the same second as the other, their order is not known.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(down) = state::down(case)?.filter(|d| d.reason == Reason::NetnsOwnerDead) else { return Ok(None) };
    let NetworkMode::Container(owner) = &down.container.network_mode else { return Ok(None) };
    let how = match down.route.host.container(owner) {
        None => "which is gone".to_owned(),
        Some(owner) if !owner.runs() => format!("{}, which is {}", owner.name, owner.state.status),
        Some(owner) => format!("{}, which was started anew since", owner.name),
    };
    let message = format!("{} lives in the network of another container, {how}.", down.subject());
    let short = &owner[..owner.len().min(12)];
    let finding = down.finding(case, &CAUSE, message)?.states(format!("{} has NetworkMode container:{short}", down.container.name));
    let again = match down.container.service() {
        Some(_) => "docker compose up -d --force-recreate".to_owned(),
        None => format!("docker restart {}", down.container.name),
    };
    Ok(finding.fix("Start both together anew.").command(again).into())
}

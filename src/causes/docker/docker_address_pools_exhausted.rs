use super::state::{self, Reason};
use crate::api::{Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-address-pools-exhausted",
    summary: "the container could not be started: the engine has no subnet or address left",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::DnsFail, Signature::Refused],
    explains: &["docker-container-created-not-started", "docker-container-exited", "docker-gateway-exited"],
    since: "0.1.0",
    docs: r"
## What it means
Every network takes a subnet of the engine's pools, about thirty in all unless it is told otherwise, and every container an address of its network. There is none left, so that the container was not
connected and not started.

## What you see
`compose up` fails. The same as for a container that is not there: its name gives no address.

## How we know
The engine's error says that its address pools are exhausted, or that the network has no address left.

## How to fix
Remove networks that nobody uses, or give the engine wider pools (`default-address-pools`).

## Looks like
`docker-subnet-overlap`: there was a subnet, and it is one of the outside.

## Limits
Compose makes networks before containers: where that fails there is no container that could say so.
",
    check,
};

/// What the engine says where a pool has nothing left.
const EXHAUSTED: &[&str] =
    &["predefined address pools have been fully subnetted", "non-overlapping ipv4 address pool", "no available ipv4 addresses"];

fn check(case: &Case<'_>) -> Judgement {
    let Some(down) = state::down(case)?.filter(|d| matches!(d.reason, Reason::NeverStarted | Reason::Exited)) else { return Ok(None) };
    let error = down.container.state.error.to_ascii_lowercase();
    if !EXHAUSTED.iter().any(|words| error.contains(words)) {
        return Ok(None);
    }
    let bridges = down.route.host.networks.iter().filter(|n| n.driver == "bridge").count();
    let message = format!("{} could not be started, because the engine has no subnet or address left.", down.subject());
    let start = format!("docker start {}", down.container.name);
    Ok(down
        .finding(case, &CAUSE, message)?
        .states(format!("the engine has {bridges} bridge networks"))
        .fix("Remove networks that nobody uses, or give the engine wider pools; then start it.")
        .command("docker network prune")
        .command(start)
        .into())
}

use super::state::{self, Reason};
use crate::api::{Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-container-paused",
    summary: "the container is paused: its kernel accepts connections and nobody answers",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::ReadTimeout, Signature::ConnTimeout],
    explains: &["app-never-answers", "accept-without-service", "listen-backlog-full"],
    since: "0.1.0",
    docs: r"
## What it means
The container's processes are frozen. Its kernel still accepts connections until the queue of the listening socket is full, and no byte is ever answered.

## What you see
504 after the gateway's whole time-out, although the port accepts connections.

## How we know
The engine says that the container is paused, and a request to it is accepted and not answered.

## How to fix
`docker unpause`.

## Looks like
`app-never-answers`: the process runs and is stuck. A TCP check is green in both cases.

## Limits
Who paused it is not recorded by the engine.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(down) = state::down(case)?.filter(|d| d.reason == Reason::Paused) else { return Ok(None) };
    let message = format!("{} is paused: connections are accepted and nobody answers.", down.subject());
    let unpause = format!("docker unpause {}", down.container.name);
    Ok(down.finding(case, &CAUSE, message)?.fix("Let it go on.").command(unpause).into())
}

use super::state::{self, Reason};
use crate::api::{Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-container-created-not-started",
    summary: "the container was made and never started, or could not be",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::DnsFail, Signature::HostUnreach, Signature::Refused],
    explains: &["docker-alias-typo"],
    since: "0.1.0",
    docs: r"
## What it means
The container exists, and its process was never started: nobody asked for it, or the engine could not do it (a mount, a device, a program that is not in the image).

## What you see
The same as for a container that is not there: its name gives no address.

## How we know
The engine says that it is created and not started, with its error if there was one; and the name gives no address from inside the gateway.

## How to fix
Mend what the error says, then start it.

## Looks like
`docker-port-already-allocated` and `docker-netns-owner-dead` are two such errors with a name of their own.

## Limits
The engine keeps only the last error.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(down) = state::down(case)?.filter(|d| d.reason == Reason::NeverStarted) else { return Ok(None) };
    let error = &down.container.state.error;
    let why =
        if error.is_empty() { "was never started".to_owned() } else { format!("could not be started: {}", error.trim_end_matches('.')) };
    let message = format!("{} {why}.", down.subject());
    let start = format!("docker start {}", down.container.name);
    Ok(down.finding(case, &CAUSE, message)?.fix("Mend what keeps it from starting, and start it.").command(start).into())
}

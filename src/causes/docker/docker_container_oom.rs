use super::state::{self, Reason};
use crate::api::{Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-container-oom",
    summary: "the container was killed for want of memory",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::EofEarly, Signature::Refused, Signature::DnsFail],
    explains: &["docker-container-exited", "docker-container-restarting", "docker-gateway-exited"],
    since: "0.1.0",
    docs: r"
## What it means
The container used more memory than its limit, or the host had none left, and the kernel killed it.

## What you see
The connection ends in the middle of an answer, then the port refuses, then the name gives no address.

## How we know
The engine recorded the kill (State.OOMKilled), and the container does not run, or runs again since less than a minute.

## How to fix
Raise the limit (`mem_limit`, `--memory`), or mend what uses the memory.

## Looks like
Exit code 137 without that record is a kill by somebody else, such as `docker kill` or a stop that took too long.

## Limits
A child process that is killed while the main one goes on does not end the container: the engine does not record it.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(down) = state::down(case)?.filter(|d| d.reason == Reason::Oom) else { return Ok(None) };
    let limit =
        down.container.memory_limit.map_or_else(|| "the host's memory".to_owned(), |bytes| format!("its limit of {} MiB", bytes >> 20));
    let message = format!("{} was killed by the kernel: it used more than {limit}.", down.subject());
    let raise = format!("docker update --memory 512m --memory-swap 512m {}   # as much as it needs", down.container.name);
    Ok(down
        .finding(case, &CAUSE, message)?
        .fix("Raise its memory limit, or mend what uses the memory.")
        .command(raise)
        .command(down.logs())
        .into())
}

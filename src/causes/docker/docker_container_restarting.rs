use super::state::{self, Reason};
use crate::api::{Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-container-restarting",
    summary: "the container behind the gateway ends and is started again, over and over",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::DnsFail, Signature::HostUnreach, Signature::Refused],
    explains: &["docker-alias-typo", "docker-start-order", "docker-upstream-port-wrong"],
    since: "0.1.0",
    docs: r"
## What it means
The container's process ends soon after its start, and its restart policy starts it again after longer and longer pauses.

## What you see
502 by turns with answers, or always: its name gives no address while it is down, and its port refuses while it starts.

## How we know
The engine says that it is restarting, or it was started within the last minute and restarted more than once before; and the name gives no address, or a request to it fails.

## How to fix
Read the log of the run that ended. 126 and 127 are a command that cannot be run, 137 a kill, 139 a crash in native code.

## Looks like
`docker-container-oom` is the same with too little memory; `docker-start-order` passes within seconds.

## Limits
Why the process ends stands in its log, of which only the last line is shown.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(down) = state::down(case)?.filter(|d| d.reason == Reason::Restarting && !d.is_gateway()) else { return Ok(None) };
    let (times, code) = (down.container.restarts, down.container.state.exit_code);
    let message = format!("{} ends and is started again, {times} times so far; the last exit code is {code}.", down.subject());
    Ok(down.finding(case, &CAUSE, message)?.fix("Read why it ended, and mend that.").command(down.logs()).into())
}

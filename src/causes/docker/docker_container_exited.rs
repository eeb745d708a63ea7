use super::state::{self, Reason};
use crate::api::{Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-container-exited",
    summary: "the container behind the gateway has ended",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::DnsFail, Signature::HostUnreach, Signature::Refused],
    explains: &["docker-alias-typo", "docker-stale-ip-after-recreate"],
    since: "0.1.0",
    docs: r"
## What it means
The container that the gateway's upstream means has ended. The engine's DNS gives no address for it any more.

## What you see
502 at once where the gateway looks the name up again and again, 502 or 504 after a few seconds where it kept the old address. A gateway that looks names up only when it starts does not start at all.

## How we know
The name gives no address from inside the gateway, and the engine says that the container by that name has exited.

## How to fix
Read its log, mend why it ended, and start it again.

## Looks like
`docker-alias-typo`: no container goes by the name. `docker-container-oom` and `docker-container-restarting` are named where the engine says so.

## Limits
A container that was removed leaves nothing behind: then the name is nobody's, which reads as `docker-alias-typo`.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(down) = state::down(case)?.filter(|d| d.reason == Reason::Exited && !d.is_gateway()) else { return Ok(None) };
    let code = down.container.state.exit_code;
    let message = format!("{} has ended with exit code {code}.", down.subject());
    let start = format!("docker start {}", down.container.name);
    let finding = down.finding(case, &CAUSE, message)?;
    Ok(finding.fix("Mend why it ended, and start it again.").command(down.logs()).command(start).into())
}

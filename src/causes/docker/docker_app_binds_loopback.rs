use super::refused::{self, Fault};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-app-binds-loopback",
    summary: "the program in the container listens on 127.0.0.1 only",
    hop: Hop::Socket,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::Refused, Signature::EofEarly],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
Every container has a loopback of its own. A program that listens on 127.0.0.1 can be reached from inside its container alone; other containers, and published ports, come in at its network address.

## What you see
502 or 503 at once from a gateway. At a published port the engine's proxy accepts and closes, so that a TCP check of it is green. `docker exec … curl localhost` works.

## How we know
The port refuses at the container's address, and the listen table inside the container has it on 127.0.0.1, or on another single address. Where nobody can look inside, a setting that binds loopback makes it Likely.

## How to fix
Bind every address: `--host 0.0.0.0`, `HOST=0.0.0.0`.

## Looks like
`docker-upstream-port-wrong`: the port is open on no address at all.

## Limits
Without a look into the container, and without such a setting, it is no more than Possible.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(refused) = refused::refused(case)? else { return Ok(None) };
    let told = refused.loopback().map(str::to_owned);
    let confidence = match (refused.fault(), &told) {
        (Fault::Address, _) => Confidence::Proven,
        (Fault::Unclear, Some(_)) => Confidence::Likely,
        (Fault::Unclear, None) => Confidence::Possible,
        _ => return Ok(None),
    };
    let name = &refused.container.name;
    let listener = refused.table.and_then(|t| t.at.listener());
    let how = match (&told, listener) {
        (Some(text), _) => format!("is told to listen on loopback only ({text})"),
        (None, Some(listener)) => format!("listens on {} only", listener.address),
        (None, None) => "may listen on 127.0.0.1 only".to_owned(),
    };
    let message = format!("{}, where {name} refuses: its program {how}.", refused.sends());
    let mut finding = refused.evidence(CAUSE.finding(confidence, message));
    if let Some(text) = &told {
        finding = finding.states(format!("{name} has {text}"));
    }
    Ok(finding
        .fix(format!("Let the program in {name} listen on every address (0.0.0.0); only its own container reaches 127.0.0.1."))
        .into())
}

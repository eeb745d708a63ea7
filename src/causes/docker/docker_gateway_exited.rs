use super::meant;
use super::state::{self, Reason};
use crate::api::{Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-gateway-exited",
    summary: "the gateway's own container does not run",
    hop: Hop::Gateway,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::Refused, Signature::RstEarly],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The gateway has ended, or ends whenever it is started: most often because it refuses its configuration.

## What you see
Connection refused or reset at the published port. This is no 502, and is often told as one.

## How we know
The engine says that the gateway's container has exited or is restarting. The last lines of its log name file, line and directive.

## How to fix
Mend what the log says, then start it again. `nginx -t`, `haproxy -c -f`, `caddy validate` and `httpd -t` check a configuration without starting.

## Looks like
Where the log says that a name of an upstream is not found, the cause is that name's: `docker-alias-typo`, `docker-different-networks`, `docker-default-bridge-no-dns`, `docker-start-order` or the upstream's own end.

## Limits
Without the log only the exit code is known.
",
    check,
};

/// Words that mark the line of a log that says why a program ended.
const WORDS: &[&str] = &["emerg", "alert", "fatal", "error", "syntax", "invalid", "failed", "cannot", "unknown"];

fn check(case: &Case<'_>) -> Judgement {
    let Some(down) = state::down(case)?.filter(|d| d.is_gateway() && matches!(d.reason, Reason::Exited | Reason::Restarting)) else {
        return Ok(None);
    };
    if meant::unresolved(case)?.is_some_and(|name| name.said.is_some()) {
        return Ok(None);
    }
    let lines = meant::log_of(case, down.container)?;
    let telling = lines.iter().rev().map(|l| l.text.trim()).find(|line| {
        let line = line.to_ascii_lowercase();
        WORDS.iter().any(|word| line.contains(word))
    });
    let state = &down.container.state;
    let how = if down.reason == Reason::Restarting { "ends whenever it is started" } else { "has ended" };
    let why =
        telling.map_or_else(|| format!("exit code {}", state.exit_code), |line| format!("its log says: {}", line.trim_end_matches('.')));
    let message = format!("The gateway {} {how}: {why}.", down.container.name);
    let mut finding = down.finding(case, &CAUSE, message)?;
    if let Some(line) = telling {
        finding = finding.logged(&down.container.name, line).proof(down.state_line(), format!("log of {}: {line}", down.container.name));
    }
    let start = format!("docker start {}", down.container.name);
    Ok(finding.fix("Mend what its log says, then start it again.").command(down.logs()).command(start).into())
}

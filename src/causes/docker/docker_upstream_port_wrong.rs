use super::refused::{self, Fault, Refused};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-upstream-port-wrong",
    summary: "the gateway's upstream names another port than the container listens on",
    hop: Hop::Socket,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::Refused],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The upstream leads to the right container and to a port that nobody in it listens on. A port that an image declares (EXPOSE) opens nothing: what counts is where the program listens.

## What you see
502 on nginx, Traefik and Caddy, 503 on HAProxy, Envoy and Apache, at once.

## How we know
The port refuses, the listen table inside the container has no such port and has another one, and the same request to that one is answered. Where nobody can look inside, the ports that the image declares, that the container
publishes or is told, and common ones are tried; without an answer from one of them it is never proven.

## How to fix
Write the port that the program listens on into the gateway's configuration, or let the program listen on the one that is written.

## Looks like
`docker-published-vs-container-port`: the port is the one of the host. `docker-app-binds-loopback`: the port is right, and open on 127.0.0.1 only. `docker-upstream-localhost`: the name is wrong, not the port.

## Limits
Without a look into the container, a common port that answers may belong to something beside the application. A container that was only just started is not judged.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(refused) = refused::refused(case)? else { return Ok(None) };
    let confidence = match refused.fault() {
        Fault::Port(confidence) => confidence,
        Fault::Unclear if refused.loopback().is_none() => Confidence::Possible,
        _ => return Ok(None),
    };
    let (name, port) = (&refused.container.name, refused.port());
    let message = match refused.meant() {
        Some(meant) if refused.table.is_some() || refused.elsewhere.is_some() => {
            format!("{}, but {name} does not listen on {port}; it listens on {meant}.", refused.sends())
        }
        Some(meant) => format!("{}, where {name} refuses; it declares port {meant}.", refused.sends()),
        None => format!("{}, where {name} refuses; it may listen on another port.", refused.sends()),
    };
    let finding = refused.evidence(CAUSE.finding(confidence, message));
    Ok(match refused.meant() {
        Some(meant) => finding.fix(fix(&refused, meant)),
        None => finding.fix("Write the port that the program listens on into the gateway's configuration."),
    }
    .into())
}

/// What to write in place of the port.
pub fn fix(refused: &Refused<'_>, meant: u16) -> String {
    let server = &refused.server.server;
    format!("Write {}:{meant} in place of {server} at {}.", server.host, server.place)
}

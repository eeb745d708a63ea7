use super::docker_upstream_port_wrong::fix;
use super::refused::{self, Fault};
use crate::api::{Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-published-vs-container-port",
    summary: "the gateway's upstream names the port of the host, and not the container's own",
    hop: Hop::Socket,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::Refused],
    explains: &["docker-upstream-port-wrong"],
    since: "0.1.0",
    docs: r"
## What it means
`ports: 8080:3000` publishes the container's port 3000 as port 8080 of the host. Other containers reach it by its own port, 3000: the published one exists on the host alone.

## What you see
502 or 503 at once, while the same port answers on the host.

## How we know
The container refuses the port, which is published on the host for another port of the same container; and that other port is open in the container, or answers the same request.

## How to fix
Write the container's port into the gateway's configuration. Behind a gateway a container needs no published port.

## Looks like
`docker-upstream-port-wrong`: the port is no published one either.

## Limits
Where the container's own port refuses as well, it is Likely: then the program listens elsewhere, or on loopback.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(refused) = refused::refused(case)? else { return Ok(None) };
    let Fault::Published(published, confidence) = refused.fault() else { return Ok(None) };
    let (name, port) = (&refused.container.name, published.port);
    let message = format!(
        "{}, but {} is the port of the host that {name} is published at; the container's own port is {port}.",
        refused.sends(),
        published.host_port
    );
    Ok(refused
        .evidence(CAUSE.finding(confidence, message))
        .object(&refused.container.reference(), "HostConfig.PortBindings")
        .states(format!("{name} publishes {} of the host for its port {port}", published.host_port))
        .fix(fix(&refused, port))
        .into())
}

use super::meant::{self, Meant};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-host-gateway-missing",
    summary: "host.docker.internal is not defined in the gateway's container",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::DnsFail],
    explains: &["docker-alias-typo", "docker-gateway-exited"],
    since: "0.1.0",
    docs: r"
## What it means
Docker Desktop defines `host.docker.internal`; an engine on Linux does not, unless the container is told to.

## What you see
502 at once, or a gateway that does not start, on a server, while the same Compose file works on a laptop.

## How we know
The upstream names the host by such a name, and it gives no address from inside the gateway.

## How to fix
`extra_hosts: ['host.docker.internal:host-gateway']`, or `--add-host host.docker.internal:host-gateway`.

## Looks like
`docker-host-service-loopback`: the name is there, and the program on the host listens on loopback.

## Limits
None.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(name) = meant::unresolved(case)?.filter(|name| name.meant == Meant::TheHost) else { return Ok(None) };
    let confidence = if name.is_certain() { Confidence::Proven } else { Confidence::Likely };
    let gateway = &name.route.gateway;
    let message = format!("{} sends requests to {}, which is not defined in its container.", name.written(), name.name());
    let hosts = match gateway.extra_hosts.len() {
        0 => format!("{} has no extra hosts", gateway.name),
        n => format!("{} has {n} extra hosts, and none of that name", gateway.name),
    };
    Ok(name
        .evidence(CAUSE.finding(confidence, message))
        .states(hosts.clone())
        .proof(name.failing_line(), hosts)
        .fix(format!("Define the name in the gateway's container: `extra_hosts: [\"{}:host-gateway\"]`.", name.name()))
        .command(format!("docker run --add-host {}:host-gateway …   # the container has to be made anew", name.name()))
        .into())
}

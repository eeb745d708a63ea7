use super::state::{self, Reason};
use crate::api::{Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-port-already-allocated",
    summary: "the container could not be started: the host port that it publishes is taken",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::DnsFail, Signature::Refused],
    explains: &["docker-container-created-not-started", "docker-gateway-exited"],
    since: "0.1.0",
    docs: r"
## What it means
Another container or program holds the port of the host that this container publishes, so the engine did not start it.

## What you see
An old program answers at the published port, or the container's name gives no address.

## How we know
The engine's error says that the port is already allocated, or the address in use.

## How to fix
End what holds the port, or publish another one. Behind a gateway a container needs no published port at all.

## Looks like
`docker-container-created-not-started` with another error.

## Limits
What holds the port is named where it is another container of this engine.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(down) = state::down(case)?.filter(|d| d.reason == Reason::PortTaken) else { return Ok(None) };
    let wanted: Vec<u16> = down.container.published.iter().map(|p| p.host_port).collect();
    let others = down.route.host.containers.iter().filter(|c| c.id != down.container.id && c.runs());
    let holder = others.flat_map(|c| c.published.iter().map(move |p| (c, p))).find(|(_, p)| p.bound && wanted.contains(&p.host_port));
    let by = holder.map_or_else(String::new, |(c, p)| format!(": {} publishes port {}", c.name, p.host_port));
    let message = format!("{} could not be started, because a port of the host that it publishes is taken{by}.", down.subject());
    let mut finding = down.finding(case, &CAUSE, message)?.fix("Free the port or publish another one, then start it.");
    if let Some((c, _)) = holder {
        finding = finding.object(&c.reference(), "HostConfig.PortBindings");
    }
    let start = format!("docker start {}", down.container.name);
    Ok(finding.command("docker ps --format '{{.Names}} {{.Ports}}'").command(start).into())
}

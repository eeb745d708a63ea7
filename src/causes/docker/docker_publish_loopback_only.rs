use super::host::{HostRefuses, published, refuses};
use super::meant;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-publish-loopback-only",
    summary: "the gateway calls the host's address, and the port is published on the host's loopback alone",
    hop: Hop::Socket,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::Refused],
    explains: &["docker-host-service-loopback"],
    since: "0.1.0",
    docs: r"
## What it means
`ports: 127.0.0.1:8080:80` publishes a port for programs on the host alone. A gateway in a container comes to the host by a bridge's address, where the port is not open.

## What you see
502 or 503 at once, while `curl 127.0.0.1:8080` on the host works.

## How we know
The upstream leads to the host; the port refuses there; and a running container publishes that port on 127.0.0.1 alone.

## How to fix
Put both on one network and call the container by its name and its own port; no published port is needed then. Or publish the port on the bridge's address.

## Looks like
`docker-host-service-loopback`: what listens on the host is no container.

## Limits
An upstream that names another address of the host than a bridge's is known to lead to the host where somebody can look at the host, or another port is published at that address.
A gateway whose own port is published on 127.0.0.1 alone is left alone: requests from other machines are not seen here, and such a port is often meant so.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(HostRefuses { route, server, to, seen }) = refuses(case)? else { return Ok(None) };
    let mut all = published(route, to.port());
    let Some((container, publication)) = all.find(|(_, p)| p.host_ip.is_loopback()) else { return Ok(None) };
    // Where the port is published for others too, something else refuses.
    if published(route, to.port()).any(|(_, p)| !p.host_ip.is_loopback()) {
        return Ok(None);
    }
    // Elsewhere than on Linux the host is another machine than the engine's.
    let confidence = if route.host.engine.is_apart() { Confidence::Likely } else { Confidence::Proven };
    let message = format!(
        "{} sends requests to {}, the host, where {} publishes port {} on {} alone.",
        meant::written(route, server),
        server.server,
        container.name,
        to.port(),
        publication.host_ip
    );
    let states = format!("{} publishes {} for its port {}", container.name, publication.socket(), publication.port);
    let finding = CAUSE
        .finding(confidence, message)
        .object(&route.gateway.reference(), &server.server.place.to_string())
        .object(&container.reference(), "HostConfig.PortBindings")
        .saw(seen)
        .states(states.clone())
        .proof(seen.to_string(), states);
    let gateway = route.netns_owner().unwrap_or(&route.gateway);
    let shared = gateway.attachments.iter().any(|a| a.has_dns() && container.attachment(&a.network).is_some());
    let name = if shared { meant::name_here(gateway, container) } else { container.name.to_string() };
    let finding = finding.fix(format!(
        "Write {name}:{} in place of {} at {}, with both on one network.",
        publication.port, server.server, server.server.place
    ));
    Ok(match gateway.attachments.iter().find(|a| a.has_dns()) {
        Some(place) if !shared => finding.command(format!("docker network connect {} {}", place.network, container.name)),
        _ => finding,
    }
    .into())
}

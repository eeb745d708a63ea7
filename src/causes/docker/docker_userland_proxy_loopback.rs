use std::net::SocketAddr;
use std::sync::Arc;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndpointView, Judgement, Look, Platform, When};
use crate::path::{ContainerRoute, Leads};
use crate::probe::{Observation, PodRef, Question, Signature};
use crate::snapshot::objects::docker::{Container, NetworkMode, Publication};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-userland-proxy-loopback",
    summary: "a published port does not answer on the host itself, where only the engine's proxy would serve it",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::Refused, Signature::ConnTimeout, Signature::ReadTimeout, Signature::RstEarly],
    explains: &["docker-upstream-localhost", "docker-host-service-loopback", "docker-upstream-port-wrong"],
    since: "0.1.0",
    docs: r"
## What it means
Ports are published by rules that translate addresses, and these do not see what the host sends to its own 127.0.0.1, nor what a container sends back into its own network. A process of the engine, docker-proxy, serves those.
It is turned off (`userland-proxy: false`) or is gone.

## What you see
502 or 504 where the upstream is `127.0.0.1:PORT` of a gateway in the host's network, or the host's address of a gateway on the container's own network. From other machines the same port answers.

## How we know
The gateway's request to the published port fails, the engine says that the port is published there, and the container answers the same request at its own address. It is proven where nobody but the engine itself
listens at that port of the host.

## How to fix
Send requests to the container itself over a network that both are on, or turn the proxy on.

## Looks like
`docker-publish-loopback-only`: published on 127.0.0.1, asked at another address. `docker-app-binds-loopback`: the container does not answer at its own address either.

## Limits
Where nobody looks at the host's sockets the finding is Likely.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(route) = case.path.container.as_deref() else { return Ok(None) };
    for view in case.walked_with(CAUSE.signatures)? {
        let Some(to) = view.endpoint.socket().filter(|to| is_of_host(route, *to)) else { continue };
        let Some((container, publication, own)) = publisher(route, to) else { continue };
        let mut direct = case.request_to(SocketAddr::new(own, publication.port), case.path.backend.scheme);
        if let (Some(asked), Question::Request(as_gateway)) = (direct.request_mut(), &view.seen.probe.question) {
            asked.host.clone_from(&as_gateway.host);
        }
        let direct = case.ask(direct.from_container(&PodRef::docker_host()))?;
        if direct.response().is_none() || direct.signature().is_some() {
            continue;
        }
        let look = case.look_docker_host_if_possible()?;
        let confidence = match look.map(|look| is_served(look, to)) {
            Some(true) => continue,
            Some(false) => Confidence::Proven,
            None => Confidence::Likely,
        };
        return Ok(
            finding(route, &view, container, publication, direct, look.filter(|_| confidence == Confidence::Proven), confidence).into()
        );
    }
    Ok(None)
}

/// Whether an address is the host's own for the gateway.
fn is_of_host(route: &ContainerRoute, to: SocketAddr) -> bool {
    let on_host = route.netns_owner().is_some_and(|owner| owner.network_mode == NetworkMode::Host);
    let leads = |leads: &Leads| match leads {
        Leads::Loopback(ip) => on_host && *ip == to.ip(),
        Leads::Host(ip) => *ip == to.ip(),
        Leads::Containers(_) | Leads::Address(_) | Leads::Name => false,
    };
    route.servers.iter().any(|s| leads(&s.leads))
}

/// The running container that publishes a port of the host at an address, and its own address.
fn publisher(route: &ContainerRoute, to: SocketAddr) -> Option<(&Arc<Container>, &Publication, std::net::IpAddr)> {
    let containers = route.host.containers.iter().filter(|c| c.runs());
    let published = containers.flat_map(|c| c.published.iter().map(move |p| (c, p)));
    let here = |p: &Publication| p.bound && p.host_port == to.port() && (p.host_ip.is_unspecified() || p.host_ip == to.ip());
    let (container, publication) = published.into_iter().find(|(_, p)| here(p))?;
    Some((container, publication, container.attachments.iter().find_map(|a| a.address)?))
}

/// Whether somebody serves an address of the host. The engine itself only keeps the port.
fn is_served(look: Look<'_>, to: SocketAddr) -> bool {
    let listeners = look.inside.listeners.iter().filter(|l| l.port == to.port());
    let mut here = listeners.filter(|l| l.address.is_unspecified() || l.address == to.ip());
    here.any(|l| l.process.as_ref().is_none_or(|p| p.name != "dockerd"))
}

fn finding(
    route: &ContainerRoute,
    view: &EndpointView<'_>,
    container: &Container,
    publication: &Publication,
    direct: &Observation,
    look: Option<Look<'_>>,
    confidence: Confidence,
) -> crate::causes::FindingBuilder {
    let port = publication.host_port;
    let message = format!(
        "{} sends requests to port {port} of the host, which {} publishes; there nobody serves it, since the engine's proxy is off or gone, and {} answers at its own address.",
        route.gateway.name, container.name, container.name
    );
    let mut finding =
        CAUSE.finding(confidence, message).object(&container.reference(), "HostConfig.PortBindings").saw(view.seen).saw(direct);
    if let Some(look) = look {
        finding = finding.looked(look, look.line(format!("nobody serves port {port}")));
    }
    let network = container.attachments.first().map_or("NETWORK", |a| a.network.as_str());
    finding
        .proof(view.seen.to_string(), format!("{direct} (from {})", direct.vantage))
        .fix(format!("Send requests to {}:{} on network {network}, or turn `userland-proxy` on.", container.name, publication.port))
        .command("grep userland-proxy /etc/docker/daemon.json; pgrep -a docker-proxy")
}

use super::{dialled, meant};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::ports::{Grade, grade};
use crate::causes::{Case, Cause, EndpointView, Judgement, Missing, Platform, When};
use crate::path::{ContainerRoute, ServerPath};
use crate::probe::{Observation, Signature};
use crate::snapshot::objects::docker::{Attachment, Container, NetworkMode};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-multi-network-wrong-ip",
    summary: "the gateway calls a container at its address on a network that the gateway is not on",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach, Signature::NetUnreach],
    explains: &["docker-different-networks", "docker-forward-drop"],
    since: "0.1.0",
    docs: r"
## What it means
A container on several networks has an address on each. A gateway that is given containers by their labels takes one of them, and not always one on a network of its own: it may work after one restart and not after the next.

## What you see
504 after the connect time-out (Traefik waits 30 s): `dial tcp 172.19.0.3:3000: i/o timeout`.

## How we know
The address that is called belongs to the container on a network that the gateway is not on; both share another network; and the same request to the container's address there is answered.

## How to fix
Name the network: the label `traefik.docker.network=NAME` on the container, or `--providers.docker.network` of Traefik. The name is the whole one, with the project in front.

## Looks like
`docker-different-networks`: they share none.

## Limits
Where the container does not answer on the shared network either, it is Likely; and where the gateway takes any network and its log does not say which.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(route) = case.path.container.as_deref().filter(|r| r.gateway.runs()) else { return Ok(None) };
    let gateway = route.netns_owner().unwrap_or(&route.gateway);
    if gateway.network_mode == NetworkMode::Host {
        return Ok(None);
    }
    for view in case.walked_with(CAUSE.signatures)? {
        let Some((container, there, shared)) = astray(gateway, &view) else { continue };
        return told(case, route, &view, container, there, shared);
    }
    picked(case, route, gateway)
}

/// A gateway that takes any of a container's networks, where requests fail through it alone: which one it took, only its log says.
fn picked(case: &Case<'_>, route: &ContainerRoute, gateway: &Container) -> Judgement {
    let is_picked =
        |s: &&ServerPath| s.server.container.as_ref().is_some_and(|n| route.configuration.picks.iter().any(|p| p.container == *n));
    let Some(server) = route.servers.iter().find(is_picked) else { return Ok(None) };
    let Some(container) = server.server.container.as_ref().and_then(|n| route.host.container(n)) else { return Ok(None) };
    let Some(there) = container.attachments.iter().find(|a| gateway.attachment(&a.network).is_none()) else { return Ok(None) };
    let direct = dialled::answer_directly(case)?;
    let Some(direct) = direct.iter().find(|v| v.endpoint.socket().is_some_and(|to| server.leads_to(to))) else { return Ok(None) };
    let Some(shared) = container.attachments.iter().find(|a| a.has(direct.endpoint.address)) else { return Ok(None) };
    let said = dialled::last_line(case, route, server, |_, ip| there.has(ip))?;
    let confidence = if said.is_some() { Confidence::Proven } else { Confidence::Likely };
    let message = format!(
        "{} takes any network of {}, which is on {} too, where the gateway is not; on {} the same request is answered.",
        route.gateway.name, container.name, there.network, shared.network
    );
    let mut finding = CAUSE
        .finding(confidence, message)
        .object(&route.gateway.reference(), "NetworkSettings.Networks")
        .object(&container.reference(), "NetworkSettings.Networks")
        .saw(direct.seen)
        .states(format!("{} is on {}", container.name, meant::networks_of(container)));
    if let Some((line, _)) = said {
        finding = finding.logged(&route.gateway.name, line);
    }
    let failing = said.map_or_else(|| case.failing_line(), |(line, _)| format!("log of {}: {line}", route.gateway.name));
    Ok(finding.proof(failing, direct.seen.to_string()).fix(network_label(container, shared)).into())
}

fn network_label(container: &Container, shared: &Attachment) -> String {
    let network = &shared.network;
    format!("Give {} the label `traefik.docker.network={network}`, or set `--providers.docker.network={network}`.", container.name)
}

/// The container, its place on a network that the gateway is not on, and its place on one that both are on.
fn astray<'a>(gateway: &Container, view: &EndpointView<'a>) -> Option<(&'a Container, &'a Attachment, &'a Attachment)> {
    let container = view.endpoint.container.as_deref()?;
    let there = container.attachments.iter().find(|a| a.has(view.endpoint.address))?;
    let shared = container.attachments.iter().find(|a| a.address.is_some() && gateway.attachment(&a.network).is_some())?;
    gateway.attachment(&there.network).is_none().then_some((container, there, shared))
}

fn told(
    case: &Case<'_>,
    route: &ContainerRoute,
    view: &EndpointView<'_>,
    container: &Container,
    there: &Attachment,
    shared: &Attachment,
) -> Judgement {
    let (Some(address), Some(to)) = (shared.address, view.endpoint.socket()) else { return Ok(None) };
    let near = asked(case, std::net::SocketAddr::new(address, to.port()))?;
    let answers = near.is_some_and(|seen| grade(seen) >= Some(Grade::Answers));
    let Some(server) = route.servers.iter().find(|s| s.leads_to(to)) else { return Ok(None) };
    let message = format!(
        "{} sends requests for {} to {}, its address on network {}, which the gateway is not on; both are on {}.",
        meant::written(route, server),
        container.name,
        to.ip(),
        there.network,
        shared.network
    );
    let confidence = if answers { Confidence::Proven } else { Confidence::Likely };
    let mut finding = CAUSE
        .finding(confidence, message)
        .object(&route.gateway.reference(), "NetworkSettings.Networks")
        .object(&container.reference(), "NetworkSettings.Networks")
        .saw(view.seen)
        .states(format!("{} is on {}", container.name, meant::networks_of(container)));
    if let Some(near) = near {
        finding = finding.saw(near);
    }
    let passing =
        near.filter(|_| answers).map_or_else(|| format!("{} has {address} on {}", container.name, shared.network), ToString::to_string);
    let finding = finding.proof(view.seen.to_string(), passing);
    Ok(if server.server.container.is_some() {
        finding.fix(network_label(container, shared))
    } else {
        let name = meant::name_here(route.netns_owner().unwrap_or(&route.gateway), container);
        finding.fix(format!("Write {name}:{} in place of {} at {}.", to.port(), server.server, server.server.place))
    }
    .into())
}

fn asked<'a>(case: &Case<'a>, to: std::net::SocketAddr) -> Result<Option<&'a Observation>, Missing> {
    match case.ask(case.request_to(to, case.path.backend.scheme)) {
        Err(Missing::Fact(_)) => Ok(None),
        seen => seen.map(Some),
    }
}

use super::meant;
use super::refused::members;
use super::serves::{Serves, serving};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, FindingBuilder, Judgement, Look, Missing, Platform, When};
use crate::path::{ContainerRoute, Implementation, Leads, ServerPath};
use crate::probe::{Observation, Signature};
use crate::snapshot::objects::docker::NetworkMode;
use crate::snapshot::software::image_name;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-upstream-localhost",
    summary: "the gateway's upstream is localhost, which is the gateway's own container",
    hop: Hop::Route,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::Refused],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
In a container, `localhost` and 127.0.0.1 are that container itself, neither the host nor another container. The application runs in another container, or on the host, so that nobody listens where the gateway calls.

## What you see
502 or 503 at once; the log names the upstream as 127.0.0.1 or [::1]. The same configuration works without containers.

## How we know
The upstream's address is loopback; the connection is refused inside the gateway's own network; no other container lives in that network. A container that answers the same request on that port is named, or one that declares it.

## How to fix
Write the service's name and the container's port (`http://app:3000`); for a program on the host, `host.docker.internal` with `extra_hosts`.

## Looks like
With `network_mode: service:…` loopback is right, and `docker-upstream-port-wrong` or `docker-container-exited` are named. A gateway in the host's network reaches the host's own programs and published ports there; it is named where a
container serves that port without publishing it.

## Limits
An image that has gateway and application in one is right to use loopback: for an image that is not the gateway's own, it is not proven.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(route) = case.path.container.as_deref().filter(|r| r.gateway.runs()) else { return Ok(None) };
    let refused = case.walked_with(&[Signature::Refused])?.into_iter().find(|v| v.endpoint.address.is_loopback());
    let Some((view, to)) = refused.and_then(|v| Some((v, v.endpoint.socket()?))) else { return Ok(None) };
    let Some(server) = route.servers.iter().find(|s| s.leads_to(to) && matches!(s.leads, Leads::Loopback(_))) else { return Ok(None) };
    // Where the gateway lives with others, or calls itself, loopback is meant.
    let shares = route.host.containers.iter().any(|c| matches!(&c.network_mode, NetworkMode::Container(_)) && lives_with(route, c));
    if shares || !members(route, &route.gateway).is_empty() || route.configuration.listeners.iter().any(|l| l.port == to.port()) {
        return Ok(None);
    }
    let meant = serving(case, route, to.port(), &[])?;
    if route.gateway.network_mode == NetworkMode::Host {
        return Ok(meant.and_then(|meant| on_the_host(route, server, &meant, view.seen)));
    }
    let host = if meant.is_none() { listens_on_host(case, to.port())? } else { None };
    let is_bare = Implementation::named_in(image_name(&route.gateway.image)) != Implementation::Other;
    let confidence = match (&meant, is_bare) {
        (Some(meant), true) if meant.is_seen() => Confidence::Proven,
        (Some(_), _) | (None, true) => Confidence::Likely,
        (None, false) if host.is_some() => Confidence::Likely,
        (None, false) => Confidence::Possible,
    };
    let who = match (&meant, &host) {
        (Some(meant), _) => format!("; {} serves port {}", meant.container.name, meant.port),
        (None, Some(_)) => "; a program on the host listens on it".to_owned(),
        (None, None) => String::new(),
    };
    let message = format!(
        "{} sends requests to {}, which is its own container, and nobody in it listens on {}{who}.",
        meant::written(route, server),
        server.server,
        to.port()
    );
    let finding = begun(confidence, message, route, server, view.seen);
    Ok(match (&meant, host) {
        (Some(meant), _) => named(finding, route, server, meant, view.seen),
        (None, Some((look, line))) => finding.looked(look, line.clone()).proof(view.seen.to_string(), line).fix(format!(
            "Write host.docker.internal:{} in place of {} at {}, and give the gateway `extra_hosts: [\"host.docker.internal:host-gateway\"]`.",
            to.port(),
            server.server,
            server.server.place
        )),
        (None, None) => finding
            .proof(view.seen.to_string(), format!("no container but {} lives in its network", route.gateway.name))
            .fix(format!("Write the name and port of the container that is meant in place of {} at {}.", server.server, server.server.place)),
    }
    .into())
}

fn lives_with(route: &ContainerRoute, container: &std::sync::Arc<crate::snapshot::objects::docker::Container>) -> bool {
    let own = route.netns_owner();
    container.id != route.gateway.id && own.is_some() && route.host.netns_owner(container).map(|o| &o.id) == own.map(|o| &o.id)
}

fn begun(confidence: Confidence, message: String, route: &ContainerRoute, server: &ServerPath, seen: &Observation) -> FindingBuilder {
    CAUSE.finding(confidence, message).object(&route.gateway.reference(), &server.server.place.to_string()).saw(seen)
}

fn named(
    finding: FindingBuilder,
    route: &ContainerRoute,
    server: &ServerPath,
    meant: &Serves<'_>,
    failing: &Observation,
) -> FindingBuilder {
    let finding = finding.object(&meant.container.reference(), "").states(meant.line()).proof(failing.to_string(), meant.line());
    let finding = meant.seen.iter().fold(finding, |finding, seen| finding.saw(seen));
    let name = meant.name.as_deref().unwrap_or(&meant.container.name);
    let finding = finding.fix(format!("Write {name}:{} in place of {} at {}.", meant.port, server.server, server.server.place));
    match (&meant.name, meant.container.attachments.iter().find(|a| a.has_dns())) {
        (Some(_), _) => finding,
        (None, Some(place)) => finding.command(format!("docker network connect {} {}", place.network, route.gateway.name)),
        (None, None) => finding
            .command("docker network create app")
            .command(format!("docker network connect app {}", route.gateway.name))
            .command(format!("docker network connect app {}", meant.container.name)),
    }
}

/// A gateway in the host's own network: the container that serves the port does not publish it there.
fn on_the_host(route: &ContainerRoute, server: &ServerPath, meant: &Serves<'_>, seen: &Observation) -> Option<crate::api::Finding> {
    let confidence = if meant.is_seen() { Confidence::Proven } else { Confidence::Likely };
    let (name, port) = (&meant.container.name, meant.port);
    let message = format!(
        "{} is in the host's network and sends requests to {}, where nobody on the host listens; {name} serves port {port} and does not publish it there.",
        meant::written(route, server),
        server.server
    );
    let finding = begun(confidence, message, route, server, seen).object(&meant.container.reference(), "HostConfig.PortBindings");
    let finding = meant.seen.iter().fold(finding, |finding, seen| finding.saw(seen));
    finding
        .proof(seen.to_string(), meant.line())
        .fix(format!(
            "Publish the port for the host alone (`ports: [\"127.0.0.1:{}:{port}\"]`), or put the gateway on a network with {name}.",
            server.server.port
        ))
        .into()
}

/// The look that shows a program of the host on a port.
fn listens_on_host<'a>(case: &Case<'a>, port: u16) -> Result<Option<(Look<'a>, String)>, Missing> {
    let Some(look) = case.look_docker_host_if_possible()? else { return Ok(None) };
    let listener = look.inside.at(port).next();
    Ok(listener.map(|l| (look, look.line(format!("{}:{port} is listened on by {}", l.address, l.owner())))))
}

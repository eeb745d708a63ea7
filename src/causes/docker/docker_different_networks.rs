use super::meant::{self, Meant};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, FindingBuilder, Judgement, Platform, When};
use crate::path::ContainerRoute;
use crate::probe::Signature;
use crate::snapshot::objects::docker::{Container, NetworkMode};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-different-networks",
    summary: "the gateway and the container behind it share no network",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::DnsFail, Signature::ConnTimeout],
    explains: &["docker-alias-typo", "docker-gateway-exited", "docker-forward-drop"],
    since: "0.1.0",
    docs: r"
## What it means
Containers see each other on the networks that they share. The gateway and the container that its upstream means share none.

## What you see
By name: 502 at once, the name is not found. By address: 504 after the connect time-out, since the engine keeps its bridges apart.

## How we know
The name gives no address from inside the gateway, or its address does not answer; the container runs; and no network has both.

## How to fix
Attach both to one network.

## Looks like
`docker-compose-project-isolation`: each is on the default network of another Compose project. `docker-alias-typo`: they share one, and the name is another.

## Limits
A container in the host's own network has no name on any other: it is named here as well.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    if let Some(name) = meant::unresolved(case)? {
        let Meant::Apart(container) = name.meant else { return Ok(None) };
        if projects_apart(name.route, container).is_some() {
            return Ok(None);
        }
        let confidence = if name.is_certain() { Confidence::Proven } else { Confidence::Likely };
        let finding = name.evidence(CAUSE.finding(confidence, message(name.route, container)));
        return Ok(told(finding, name.route, container, &name.failing_line()).into());
    }
    let Some(route) = case.path.container.as_deref() else { return Ok(None) };
    for view in case.walked_with(&[Signature::ConnTimeout, Signature::HostUnreach, Signature::NetUnreach])? {
        let Some(container) = view.endpoint.container.as_ref() else { continue };
        let gateway = route.netns_owner().unwrap_or(&route.gateway);
        // One that is on several networks and shares one is another cause.
        let apart = gateway.shared_networks(container).next().is_none() && gateway.network_mode != NetworkMode::Host;
        if apart && container.id != gateway.id {
            let finding = CAUSE.finding(Confidence::Proven, message(route, container)).saw(view.seen);
            return Ok(told(finding, route, container, &view.seen.to_string()).into());
        }
    }
    Ok(None)
}

fn message(route: &ContainerRoute, container: &Container) -> String {
    let gateway = route.netns_owner().unwrap_or(&route.gateway);
    format!(
        "{} and {} share no network: the one is on {}, the other on {}.",
        route.gateway.name,
        container.name,
        meant::networks_of(gateway),
        meant::networks_of(container)
    )
}

fn told(finding: FindingBuilder, route: &ContainerRoute, container: &Container, failing: &str) -> FindingBuilder {
    let gateway = route.netns_owner().unwrap_or(&route.gateway);
    let passing = format!("{} runs, on {}", container.name, meant::networks_of(container));
    let finding = finding
        .object(&route.gateway.reference(), "NetworkSettings.Networks")
        .object(&container.reference(), "NetworkSettings.Networks")
        .states(passing.clone())
        .proof(failing, passing)
        .fix("Attach both to one network (Compose: name it under `networks:` of both services).");
    let (network, member) = match gateway.attachments.iter().find(|a| a.has_dns()) {
        Some(place) => (place.network.clone(), container.name.clone()),
        None => (container.attachments.first().map_or_else(|| "NETWORK".into(), |a| a.network.clone()), gateway.name.clone()),
    };
    finding.command(format!("docker network connect {network} {member}"))
}

/// The Compose projects of both, where each is on networks of its own project alone.
pub fn projects_apart<'a>(route: &'a ContainerRoute, container: &'a Container) -> Option<(&'a str, &'a str)> {
    let gateway = route.netns_owner().unwrap_or(&route.gateway);
    let (one, other) = (gateway.project()?, container.project()?);
    let of_project = |c: &Container, project: &str| {
        let own = |name: &str| route.host.network(name).and_then(|n| n.labels.get(crate::snapshot::objects::docker::PROJECT));
        !c.attachments.is_empty() && c.attachments.iter().all(|a| own(&a.network).is_some_and(|p| p == project))
    };
    (one != other && of_project(gateway, one) && of_project(container, other)).then_some((one, other))
}

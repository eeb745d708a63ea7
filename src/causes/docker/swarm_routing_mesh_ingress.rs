use std::net::SocketAddr;
use std::sync::Arc;

use super::swarm::{self, Published};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndpointView, FindingBuilder, Judgement, Missing, Platform, When};
use crate::path::{ContainerRoute, Leads};
use crate::probe::{Observation, Signature};
use crate::snapshot::objects::docker::Container;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "swarm-routing-mesh-ingress",
    summary: "a port that a Swarm publishes answers at some of its nodes and not at others that the gateway calls",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::Refused, Signature::ConnTimeout, Signature::HostUnreach],
    explains: &["docker-subnet-overlap", "docker-forward-drop", "docker-host-firewall-blocks-bridge"],
    since: "0.1.0",
    docs: r"
## What it means
A Swarm publishes a port in one of two modes. In mode `ingress` every node answers, with a task of its own or without, since the routing mesh passes connections on. In mode `host` only nodes answer that run a task.
The gateway calls nodes by their addresses, and one of them does not answer: it has no task of a service in mode `host`, or its part of the mesh is broken.

## What you see
502 or 504 for the share of requests that goes to that node; after tasks have moved, to another one.

## How we know
The gateway's request to the port is refused or lost at one node and taken at another. A task on this engine publishes the port itself, which is mode `host`; or this engine's rules translate it for the mesh (chain `DOCKER-INGRESS`).
It is proven where the mode is `host` and the node refuses.

## How to fix
Publish the port in mode `ingress`, or send requests to nodes with a task alone: a service in mode `global` has one on each. Where the mesh itself is broken, open TCP and UDP 7946 and UDP 4789 between all nodes.

## Looks like
`swarm-overlay-ports-blocked`: the gateway calls the service by its name, within an overlay network. `swarm-no-running-task`: no node has a task.

## Limits
Where neither a task nor the rules of this engine show the mode, nothing is said. A node that is called by a name is not told from any other host.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(route) = case.path.container.as_deref().filter(|r| swarm::is_part_of_one(&r.host)) else { return Ok(None) };
    for view in case.walked_with(CAUSE.signatures)? {
        let Some(to) = view.endpoint.socket().filter(|to| is_node(route, *to)) else { continue };
        let Some(answer) = answer_elsewhere(case, route, to)? else { continue };
        if let Some(published) = swarm::published(&route.host, to)? {
            return Ok(finding(route, &view, to, &published, answer).into());
        }
    }
    Ok(None)
}

/// Whether the upstream calls a machine there, and no container.
fn is_node(route: &ContainerRoute, to: SocketAddr) -> bool {
    route.servers.iter().any(|s| matches!(s.leads, Leads::Host(_) | Leads::Address(_)) && s.leads_to(to))
}

/// The same port at another node of the upstream, or else at this engine's own host, where it is taken.
fn answer_elsewhere<'a>(case: &Case<'a>, route: &ContainerRoute, to: SocketAddr) -> Result<Option<&'a Observation>, Missing> {
    let is_other = |v: &EndpointView<'_>| v.endpoint.socket().is_some_and(|at| at != to && at.port() == to.port() && is_node(route, at));
    if let Some(other) = case.walked()?.into_iter().find(|v| is_other(v) && v.seen.signature().is_none()) {
        return Ok(Some(other.seen));
    }
    let bridges = route.netns_owner().into_iter().flat_map(|owner| &owner.attachments);
    let Some(host) = bridges.filter_map(|a| a.gateway).find(|ip| *ip != to.ip()) else { return Ok(None) };
    let seen = case.ask(case.connect_to(SocketAddr::new(host, to.port())))?;
    Ok(Some(seen).filter(|seen| seen.signature().is_none()))
}

fn finding(
    route: &ContainerRoute,
    view: &EndpointView<'_>,
    to: SocketAddr,
    published: &Published<'_>,
    answer: &Observation,
) -> FindingBuilder {
    let refused = view.seen.signature() == Some(Signature::Refused);
    let confidence = if refused && matches!(published, Published::ByTask(_)) { Confidence::Proven } else { Confidence::Likely };
    let message = match published {
        Published::ByTask(task) => format!(
            "{} sends requests to {to}, and {} publishes port {} in mode host: nodes answer that run a task, and that one does not.",
            route.gateway.name,
            service(task),
            to.port()
        ),
        Published::ByMesh(_) => format!(
            "{} sends requests to {to}, and the Swarm publishes port {} at every node: the routing mesh does not answer at that one.",
            route.gateway.name,
            to.port()
        ),
    };
    let finding = CAUSE
        .finding(confidence, message)
        .object(&route.gateway.reference(), &place_of(route, to))
        .saw(view.seen)
        .saw(answer)
        .states(published.to_string())
        .proof(view.seen.to_string(), answer.to_string());
    remedy(finding, to, published)
}

fn remedy(finding: FindingBuilder, to: SocketAddr, published: &Published<'_>) -> FindingBuilder {
    let port = to.port();
    match published {
        Published::ByTask(task) => {
            let target = task.published.iter().find(|p| p.host_port == port).map_or(port, |p| p.port);
            let name = task.labels.get(swarm::SERVICE).map_or("SERVICE", String::as_str);
            finding
                .object(&task.reference(), "HostConfig.PortBindings")
                .fix("Publish the port in mode ingress, or send requests to nodes that run a task alone.")
                .command(format!("docker service ps --filter desired-state=running {name}"))
                .command(format!(
                    "docker service update --publish-rm published={port},target={target},mode=host --publish-add published={port},target={target},mode=ingress {name}"
                ))
        }
        Published::ByMesh(_) => finding
            .fix(format!("See that {} is an active node of the Swarm, and open TCP and UDP 7946 and UDP 4789 between all nodes.", to.ip()))
            .command("docker node ls")
            .command("docker network inspect ingress   # on that node: it lists its peers"),
    }
}

fn place_of(route: &ContainerRoute, to: SocketAddr) -> String {
    route.servers.iter().find(|s| s.leads_to(to)).map_or_else(String::new, |s| s.server.place.to_string())
}

fn service(task: &Arc<Container>) -> String {
    task.labels.get(swarm::SERVICE).map_or_else(|| task.name.to_string(), |name| format!("service {name}"))
}

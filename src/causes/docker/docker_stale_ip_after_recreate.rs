use std::net::IpAddr;

use super::dialled;
use super::meant;
use super::serves::{Serves, serving};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndpointView, FindingBuilder, Judgement, Missing, Platform, When};
use crate::evidence::config::Lookup;
use crate::path::{ContainerRoute, Leads, ServerPath};
use crate::probe::{LogLine, Observation, Signature};
use crate::snapshot::objects::docker::{Container, Network};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-stale-ip-after-recreate",
    summary: "the gateway calls an address that the container had before",
    hop: Hop::Gateway,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::HostUnreach, Signature::ConnTimeout, Signature::Refused],
    explains: &["docker-app-binds-loopback", "docker-published-vs-container-port", "docker-upstream-port-wrong"],
    since: "0.1.0",
    docs: r"
## What it means
A container that is made or started anew may get another address. A gateway that looked the name up when it started keeps the old one, and so does an address that is written into a configuration. The old one is nobody's now, or another container's.

## What you see
502 after about three seconds (`113: Host is unreachable`: nobody answers for the address), 504, or 502 at once where another container has the address. It begins when the upstream is deployed, and a restart of the gateway mends it.

## How we know
An address that is written in the configuration is in a network of the gateway, and no container has it, or one has it that does not serve the port while another one does. Or: the name gives an address that answers the same request, while it fails through
a gateway that looks names up once and was started before the container; a line of its log that names another address proves it.

## How to fix
Reload the gateway. So that it does not come back, let it look names up while it runs (nginx: `resolver 127.0.0.11 valid=10s` and a variable in `proxy_pass`), and write names in place of addresses.

## Looks like
`docker-container-exited`: the container does not run. `docker-upstream-port-wrong`: the right container, and another port.

## Limits
Without its log, what a running gateway keeps in memory is not seen: then it is Likely.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(route) = case.path.container.as_deref().filter(|r| r.gateway.runs()) else { return Ok(None) };
    match written(case, route)? {
        Some(finding) => Ok(finding.into()),
        None => Ok(kept(case, route)?.map(FindingBuilder::build)),
    }
}

/// An address that stands in the configuration, or beside it as an extra host.
fn written(case: &Case<'_>, route: &ContainerRoute) -> Result<Option<FindingBuilder>, Missing> {
    for view in case.walked_with(CAUSE.signatures)? {
        let Some(to) = view.endpoint.socket() else { continue };
        let leads_there = |s: &&ServerPath| s.leads_to(to) && s.server.container.is_none();
        let Some(server) = route.servers.iter().find(leads_there) else { continue };
        let found = match &server.leads {
            Leads::Address(ip) => nobodys(case, route, server, *ip, &view)?,
            Leads::Containers(owners) if server.is_address() => match owners.first() {
                Some((owner, ip)) => anothers(case, route, server, owner, *ip, &view)?,
                None => None,
            },
            _ => None,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// An address of a bridge of the gateway that no container has.
fn nobodys(
    case: &Case<'_>,
    route: &ContainerRoute,
    server: &ServerPath,
    ip: IpAddr,
    view: &EndpointView<'_>,
) -> Result<Option<FindingBuilder>, Missing> {
    let Some(network) = bridge_of(route, ip) else { return Ok(None) };
    // Where somebody refuses, the address is somebody's.
    if view.seen.signature() == Some(Signature::Refused) {
        return Ok(None);
    }
    let meant = serving(case, route, server.server.port, &[])?;
    let is_sure = view.seen.signature() == Some(Signature::HostUnreach) || meant.as_ref().is_some_and(Serves::is_seen);
    let confidence = if is_sure { Confidence::Proven } else { Confidence::Likely };
    let message = format!(
        "{} sends requests to {}, an address of network {} that no container has now{}.",
        meant::written(route, server),
        server.server,
        network.name,
        meant.as_ref().map_or_else(String::new, |m| format!("; {} serves port {}", m.container.name, m.port))
    );
    let owners = format!("no container on {} has {ip}", network.name);
    let finding = begun(confidence, message, route, server, view.seen).states(owners.clone());
    Ok(Some(mended(finding, server, meant.as_ref(), view.seen, owners)))
}

/// An address that belongs to a container which does not serve the port, while another one does.
fn anothers(
    case: &Case<'_>,
    route: &ContainerRoute,
    server: &ServerPath,
    owner: &std::sync::Arc<Container>,
    ip: IpAddr,
    view: &EndpointView<'_>,
) -> Result<Option<FindingBuilder>, Missing> {
    let port = server.server.port;
    let declares = owner.exposed.contains(&port) || owner.published.iter().any(|p| p.port == port || p.host_port == port);
    if view.seen.signature() != Some(Signature::Refused) || declares || owner.id == route.gateway.id {
        return Ok(None);
    }
    let Some(meant) = serving(case, route, port, &[owner])?.filter(Serves::is_seen) else { return Ok(None) };
    let message = format!(
        "{} sends requests to {}, which is the address of {} now; {} serves port {}.",
        meant::written(route, server),
        server.server,
        owner.name,
        meant.container.name,
        meant.port
    );
    let finding = begun(Confidence::Likely, message, route, server, view.seen)
        .object(&owner.reference(), "NetworkSettings.Networks")
        .states(format!("{} has {ip}", owner.name));
    let line = meant.line();
    Ok(Some(mended(finding, server, Some(&meant), view.seen, line)))
}

fn begun(confidence: Confidence, message: String, route: &ContainerRoute, server: &ServerPath, seen: &Observation) -> FindingBuilder {
    CAUSE.finding(confidence, message).object(&route.gateway.reference(), &server.server.place.to_string()).saw(seen)
}

fn mended(
    finding: FindingBuilder,
    server: &ServerPath,
    meant: Option<&Serves<'_>>,
    failing: &Observation,
    otherwise: String,
) -> FindingBuilder {
    let place = &server.server.place;
    let passing = meant.filter(|m| m.is_seen()).map_or(otherwise, Serves::line);
    let finding = finding.proof(failing.to_string(), passing);
    match meant.and_then(|m| Some((m, m.name.as_ref()?))) {
        Some((meant, name)) => finding
            .object(&meant.container.reference(), "NetworkSettings.Networks")
            .fix(format!("Write the name in place of the address: {name}:{} for {} at {place}.", meant.port, server.server)),
        None => finding.fix(format!(
            "Write the container's name in place of {} at {place}: names follow a container, addresses do not.",
            server.server
        )),
    }
}

/// A gateway that looked a name up when it started, before the container behind it was started.
fn kept(case: &Case<'_>, route: &ContainerRoute) -> Result<Option<FindingBuilder>, Missing> {
    if route.upstream.lookup != Lookup::AtStart {
        return Ok(None);
    }
    let Some((server, container)) = route.servers.iter().find_map(|s| Some((s, started_since(route, s)?))) else { return Ok(None) };
    let direct = dialled::answer_directly(case)?;
    let Some(direct) = direct.iter().find(|v| v.endpoint.socket().is_some_and(|to| server.leads_to(to))) else { return Ok(None) };
    let is_old = |line: &LogLine, ip: IpAddr| {
        let current = matches!(&server.leads, Leads::Containers(found) if found.iter().any(|(_, address)| *address == ip));
        let since = line.at.zip(container.state.started).is_some_and(|(at, started)| at > started);
        !current && since && bridge_of(route, ip).is_some()
    };
    let said = dialled::last_line(case, route, server, is_old)?;
    let confidence = if said.is_some() { Confidence::Proven } else { Confidence::Likely };
    let (gateway, name) = (&route.gateway, &server.server.host);
    let message = match said {
        Some((_, old)) => format!("{} still calls {name} at {old}; {} has {} now.", gateway.name, container.name, direct.endpoint.address),
        None => format!(
            "{} looked {name} up when it started, and {} was started after it: the gateway fails where the same request to {} is answered.",
            gateway.name, container.name, direct.endpoint.address
        ),
    };
    let since = format!("{} was started after {}", container.name, gateway.name);
    let mut finding = CAUSE
        .finding(confidence, message)
        .object(&gateway.reference(), &server.server.place.to_string())
        .object(&container.reference(), "State.StartedAt")
        .saw(direct.seen)
        .states(since);
    if let Some((line, _)) = said {
        finding = finding.logged(&gateway.name, line);
    }
    let failing = said.map_or_else(|| case.failing_line(), |(line, _)| format!("log of {}: {line}", gateway.name));
    Ok(Some(
        finding
            .proof(failing, direct.seen.to_string())
            .fix("Restart the gateway, and let it look names up while it runs (nginx: `resolver 127.0.0.11 valid=10s;` and a variable in `proxy_pass`).")
            .command(format!("docker restart {}", gateway.name)),
    ))
}

/// The container that a name of the upstream leads to, where all of them were started after the gateway.
fn started_since<'a>(route: &ContainerRoute, server: &'a ServerPath) -> Option<&'a Container> {
    let Leads::Containers(found) = &server.leads else { return None };
    let gateway = route.gateway.state.started?;
    let later = |c: &Container| c.state.started.is_some_and(|at| at > gateway);
    let all = !server.is_address() && server.server.container.is_none() && found.iter().all(|(c, _)| later(c));
    found.first().filter(|_| all).map(|(c, _)| c.as_ref())
}

/// The bridge that the gateway is on and that an address is of.
fn bridge_of(route: &ContainerRoute, ip: IpAddr) -> Option<&Network> {
    let gateway = route.netns_owner().unwrap_or(&route.gateway);
    let networks = gateway.attachments.iter().filter_map(|a| route.host.network(&a.network));
    networks.map(AsRef::as_ref).find(|n| n.driver == "bridge" && n.contains(ip))
}

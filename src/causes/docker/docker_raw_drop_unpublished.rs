use std::net::SocketAddr;
use std::sync::Arc;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When, known};
use crate::evidence::firewall::Packet;
use crate::path::ContainerRoute;
use crate::probe::{PodRef, Signature};
use crate::report::escape;
use crate::snapshot::objects::docker::Container;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-raw-drop-unpublished",
    summary: "the engine drops what is routed straight to a container's address from outside its bridge",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::ConnTimeout],
    explains: &["docker-different-networks"],
    since: "0.1.0",
    docs: r"
## What it means
The gateway is on a network without a bridge of this host (macvlan, ipvlan, a VPN's), and sends requests straight to the address of a container behind a bridge. Since version 28 the engine drops such packets before they
are routed, in the table `raw`, unless they come by that bridge itself.

## What you see
504 after the connect time-out. It worked with version 27.

## How we know
The rule in raw PREROUTING matches the first packet of the gateway's connection by address and interface; the connection is not answered; and the container answers itself there.

## How to fix
Publish the port and send requests to the host, put the gateway on the container's network as well, or make the network with gateway mode `nat-unprotected`.

## Looks like
`docker-different-networks`: both are behind bridges of this host.

## Limits
Where the interface that the packets come in by is not known, or the filter is not read, it cannot be told.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(route) = case.path.container.as_deref() else { return Ok(None) };
    let Some(parent) = parent(route) else { return Ok(None) };
    for view in case.walked_with(CAUSE.signatures)? {
        let (Some(container), Some(to)) = (view.endpoint.container.as_ref(), view.endpoint.socket()) else { continue };
        let Some(source) = route.gateway.attachments.iter().find_map(|a| a.address) else { continue };
        if route.gateway.shared_networks(container).next().is_some() {
            continue;
        }
        let Some(firewall) = known(&route.host.firewall, "the packet filter of the engine's host")? else { continue };
        let packet = Packet::first(source, to.ip(), to.port()).by(Some(parent.to_owned()), None);
        let Some(by) = firewall.fate("raw", "PREROUTING", &packet).certain() else { continue };
        let rule = format!("raw: {} ({} packets)", escape::line(&by.text()), by.packets());
        return finding(case, route, container, to, view.seen, &rule);
    }
    Ok(None)
}

/// The host's interface behind the networks of a gateway that is on no bridge.
fn parent(route: &ContainerRoute) -> Option<&str> {
    let gateway = route.netns_owner()?;
    let mut networks = gateway.attachments.iter().map(|a| route.host.network(&a.network));
    let routed = |driver: &str| matches!(driver, "macvlan" | "ipvlan");
    let all = networks.clone().all(|n| n.is_some_and(|n| routed(&n.driver)));
    networks.find_map(|n| n?.options.get("parent")).map(String::as_str).filter(|_| all)
}

fn finding(
    case: &Case<'_>,
    route: &ContainerRoute,
    container: &Arc<Container>,
    to: SocketAddr,
    seen: &crate::probe::Observation,
    rule: &str,
) -> Judgement {
    let there = match case.ask(case.connect_to(to).from_container(&PodRef::of_container(container))) {
        Err(missing @ Missing::Probes(_)) => return Err(missing),
        there => there.ok(),
    };
    let confidence = match there.map(|o| o.signature()) {
        Some(None) => Confidence::Proven,
        None => Confidence::Likely,
        Some(Some(_)) => return Ok(None),
    };
    let message = format!(
        "{} sends requests straight to the address of {}, and the engine drops what does not come by the container's own bridge.",
        route.gateway.name, container.name
    );
    let mut builder = CAUSE.finding(confidence, message).object(&container.reference(), "NetworkSettings.Networks").saw(seen).states(rule);
    let mut passing = rule.to_owned();
    if let Some(there) = there {
        builder = builder.saw(there);
        passing = format!("{there} (from {}); {rule}", there.vantage);
    }
    let network = container.attachments.first().map_or("NETWORK", |a| a.network.as_str());
    Ok(builder
        .proof(seen.to_string(), passing)
        .fix("Connect the gateway to the container's network as well, or publish the port and send requests to the host.")
        .command(format!("docker network connect {network} {}", route.gateway.name))
        .into())
}

use super::meant::{self, Meant};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-default-bridge-no-dns",
    summary: "the gateway is on the default bridge, where containers have no names",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::DnsFail],
    explains: &["docker-alias-typo", "docker-different-networks", "docker-gateway-exited"],
    since: "0.1.0",
    docs: r"
## What it means
Containers that are started without a network are on the engine's default bridge. It connects them, and gives them no names: only networks that somebody made have a DNS of their own.

## What you see
502 at once, or a gateway that does not start, with a name that is not found; the same address answers.

## How we know
The gateway is on the default bridge alone, the name gives no address from inside it, and a container of that name runs.

## How to fix
Make a network and connect both to it.

## Looks like
`docker-alias-typo`: the network has a DNS, and does not know the name.

## Limits
A name that `--link` or `--add-host` defines is found, and is not meant here.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(name) = meant::unresolved(case)? else { return Ok(None) };
    let gateway = name.route.netns_owner().unwrap_or(&name.route.gateway);
    let on_bridge = gateway.attachments.iter().any(|a| a.network == crate::snapshot::objects::docker::DEFAULT_BRIDGE);
    if gateway.has_dns() || !on_bridge {
        return Ok(None);
    }
    let (Meant::Nameless(container) | Meant::Apart(container)) = name.meant else { return Ok(None) };
    let confidence = if name.is_certain() { Confidence::Proven } else { Confidence::Likely };
    let message = format!(
        "{} sends requests to {}, but {} is on the default bridge alone, where containers have no names.",
        name.written(),
        name.name(),
        gateway.name
    );
    let place = container.attachments.iter().find_map(|a| Some((a.network.as_str(), a.address?)));
    let there = match place {
        Some((network, address)) => format!("{} runs, at {address} on network {network}", container.name),
        None => format!("{} runs, on {}", container.name, meant::networks_of(container)),
    };
    let finding = name.evidence(CAUSE.finding(confidence, message)).object(&container.reference(), "NetworkSettings.Networks");
    let finding = finding
        .states(there.clone())
        .proof(name.failing_line(), there)
        .fix("Connect both to a network that somebody made; it gives names.");
    Ok(match container.attachments.iter().find(|a| a.has_dns()) {
        Some(place) => finding.command(format!("docker network connect {} {}", place.network, gateway.name)),
        None => finding
            .command("docker network create app")
            .command(format!("docker network connect app {}", gateway.name))
            .command(format!("docker network connect --alias {} app {}", name.name(), container.name)),
    }
    .into())
}

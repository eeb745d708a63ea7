use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When};
use crate::probe::{PodRef, Signature};
use crate::snapshot::objects::docker::NetworkMode;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-rootless-or-desktop-no-route",
    summary: "the gateway asks from the host, which has no route to containers of this engine",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::ConnTimeout, Signature::NetUnreach, Signature::HostUnreach],
    explains: &["docker-different-networks", "docker-stale-ip-after-recreate", "docker-forward-drop", "docker-raw-drop-unpublished"],
    since: "0.1.0",
    docs: r"
## What it means
Docker Desktop runs containers in a virtual machine, and an engine without root in a network of its user. Their addresses exist there alone: the host itself cannot reach them, and reaches published ports only.
The gateway lives in the host's network and sends requests to such an address.

## What you see
504 after the connect time-out, or 502 with `No route to host` or `Network is unreachable`.

## How we know
The engine says that it is Docker Desktop or works without root; the gateway is in the host's network; its connection to a container's address fails; and the container answers itself there.

## How to fix
Publish the port and send requests to that, or move the gateway into the container's network.

## Looks like
`docker-different-networks`: the gateway is in a container's network itself.

## Limits
Where nobody can ask inside the container the finding is Likely.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(route) = case.path.container.as_deref() else { return Ok(None) };
    let on_host = route.netns_owner().is_some_and(|owner| owner.network_mode == NetworkMode::Host);
    if !on_host || !route.host.engine.is_apart() {
        return Ok(None);
    }
    for view in case.walked_with(CAUSE.signatures)? {
        let (Some(container), Some(to)) = (view.endpoint.container.as_ref(), view.endpoint.socket()) else { continue };
        if to.ip().is_loopback() || !container.runs() {
            continue;
        }
        let there = match case.ask(case.connect_to(to).from_container(&PodRef::of_container(container))) {
            Err(missing @ Missing::Probes(_)) => return Err(missing),
            there => there.ok(),
        };
        let confidence = match there.map(|o| o.signature()) {
            Some(None) => Confidence::Proven,
            None => Confidence::Likely,
            Some(Some(_)) => continue,
        };
        let engine = if route.host.engine.rootless { "works without root" } else { "is Docker Desktop" };
        let message = format!(
            "{} asks from the host, and the engine {engine}: the host has no route to {} at {}.",
            route.gateway.name,
            container.name,
            to.ip()
        );
        let port = to.port();
        let mut finding = CAUSE.finding(confidence, message).object(&container.reference(), "NetworkSettings.Networks").saw(view.seen);
        let mut passing = format!("the engine {engine}");
        if let Some(there) = there {
            finding = finding.saw(there);
            passing = format!("{there} (from {})", there.vantage);
        }
        return Ok(finding
            .proof(view.seen.to_string(), passing)
            .fix(format!("Publish the port (`ports: [\"127.0.0.1:{port}:{port}\"]`) and send requests to 127.0.0.1:{port}, or move the gateway into the container's network."))
            .command(format!("docker port {}", container.name))
            .into());
    }
    Ok(None)
}

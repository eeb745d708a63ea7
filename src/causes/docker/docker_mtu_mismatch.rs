use crate::api::{Confidence, Hop, Severity};
use crate::causes::swallowed::{Swallowed, swallowed};
use crate::causes::{Case, Cause, FindingBuilder, Judgement, Platform, When};
use crate::path::ContainerRoute;
use crate::probe::{PodRef, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-mtu-mismatch",
    summary: "large packets between the gateway and its upstream are lost without a word",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::ReadTimeout, Signature::BodyCut],
    explains: &["app-never-answers", "accept-without-service", "app-content-length-short"],
    since: "0.1.0",
    docs: r"
## What it means
The engine gives its networks packets of 1500 bytes unless it is told otherwise. Some link on the way carries less (a VPN, a cloud's network, an overlay), and who cannot pass a packet on is not heard: senders send the same
packet again and again.

## What you see
Connections open, small answers come, and large ones hang: 504, a body that is cut, a TLS handshake that stops at the certificate. Health checks are small, so everything is green.

## How we know
The upstream is silent to the route's request, or cuts its answer, while it answers a HEAD of the same URL (in TLS: it accepts the connection). Then echoes of several sizes that may not be fragmented are sent to it from
inside the gateway, at most 12: small ones come back, and those of the interface's size never do.

## How to fix
Give the network the MTU that its way carries (`com.docker.network.driver.mtu`), and make it anew.

## Looks like
`app-never-answers`: nothing comes at all, not even a small answer, and all sizes of packets come back.

## Limits
Nothing can be said where echoes are not answered at all. A link that is too small only from the upstream to the gateway is not always seen.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(route) = case.path.container.as_deref() else { return Ok(None) };
    Ok(swallowed(case)?.and_then(|found| finding(case, route, &found).into()))
}

fn finding(case: &Case<'_>, route: &ContainerRoute, found: &Swallowed<'_>) -> FindingBuilder {
    let Swallowed { view, to, small, sizes, passes, assumed } = found;
    let inside = sizes.vantage == PodRef::of_container(&route.gateway).to_string();
    let confidence = if inside { Confidence::Proven } else { Confidence::Likely };
    let message = format!(
        "Packets of more than {passes} bytes between {} and {to} are lost without a word, and both ends send up to {assumed}: large answers of {} hang.",
        route.gateway.name,
        case.backend_name()
    );
    let mut finding = CAUSE.finding(confidence, message);
    let owner = route.netns_owner().unwrap_or(&route.gateway);
    let shared = owner.attachments.iter().filter_map(|a| route.host.network(&a.network)).find(|n| n.contains(*to));
    let network = shared.map_or("NETWORK", |n| n.name.as_str());
    if let Some(network) = shared {
        finding = finding.object(&network.reference(), "Options[com.docker.network.driver.mtu]");
    }
    finding
        .saw(view.seen)
        .saw(small)
        .saw(sizes)
        .proof(view.seen.to_string(), format!("{small}; {sizes}"))
        .fix(format!("Make network {network} anew with an MTU of at most {passes}."))
        .command(found.ping("container"))
        .command(format!(
            "docker network create -o com.docker.network.driver.mtu={passes} {network}   # Compose: driver_opts of the network"
        ))
}

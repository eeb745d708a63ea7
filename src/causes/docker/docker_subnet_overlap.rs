use std::sync::Arc;

use super::lost::{self, Lost, Way};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When};
use crate::probe::{PodRef, Question, Signature};
use crate::snapshot::objects::docker::{Network, NetworkMode};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-subnet-overlap",
    summary: "the upstream's address lies in the subnet of a Docker network, so that its packets never leave the host",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach],
    explains: &["docker-forward-drop", "docker-iptables-flushed", "docker-stale-ip-after-recreate"],
    since: "0.1.0",
    docs: r"
## What it means
The upstream is a host of the office's, cloud's or VPN's network. A Docker network has taken a subnet with the same addresses, so that the engine's host sends packets for it to a bridge, where nobody has the
address.

## What you see
504 after the connect time-out, or 502 with `No route to host` after about three seconds. From other machines the upstream answers.

## How we know
The address that the upstream's name resolves to, outside the engine's own names, lies in the subnet of a network of this engine; no container has it; and the connection fails from inside the gateway and from the
engine's host. An address that is written down may be meant as a container's that is gone: it is Likely then, Possible where the gateway is in the host's own network, from where it would reach all
containers, and not named at all in the gateway's own networks.

## How to fix
Give the engine other subnets (`default-address-pools`), and make that network anew.

## Looks like
`docker-stale-ip-after-recreate`: a container had the address. `docker-internal-network`: the network has no way out.

## Limits
Whether anybody has the address beyond the engine is not known from here.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    for lost in lost::lost(case)?.into_iter().filter(|l| matches!(l.way, Way::Outside)) {
        if lost.seen.signature() == Some(Signature::Refused) {
            continue;
        }
        let Some(network) = covering(&lost) else { continue };
        // A single word is a container's name, which the engine gave while that one was there.
        if lost
            .lookup
            .is_some_and(|seen| matches!(&seen.probe.question, Question::Resolve { name, .. } if !name.trim_end_matches('.').contains('.')))
        {
            continue;
        }
        let confidence = match lost.lookup {
            Some(_) => Confidence::Proven,
            None if lost.gateway().attachment(&network.name).is_some() => continue,
            // From the host's own network a container could be meant, which is gone; from another Docker network it never was in reach.
            None if lost.gateway().network_mode == NetworkMode::Host => Confidence::Possible,
            None => Confidence::Likely,
        };
        let there = match case.ask(case.connect_to(lost.to).from_container(&PodRef::docker_host())) {
            Err(missing @ Missing::Probes(_)) => return Err(missing),
            there => there.ok(),
        };
        if there.is_some_and(|o| o.signature().is_none()) {
            continue;
        }
        let confidence = if there.is_none() { confidence.max(Confidence::Likely) } else { confidence };
        return Ok(finding(&lost, network, confidence, there).into());
    }
    Ok(None)
}

/// The network of the engine whose bridge the address leads to.
fn covering<'a>(lost: &Lost<'a>) -> Option<&'a Arc<Network>> {
    lost.route.host.networks.iter().filter(|n| n.driver == "bridge").find(|n| n.contains(lost.to.ip()))
}

fn finding(
    lost: &Lost<'_>,
    network: &Network,
    confidence: Confidence,
    there: Option<&crate::probe::Observation>,
) -> crate::causes::FindingBuilder {
    let subnet = network.subnets.iter().find(|s| s.contains(&lost.to.ip())).map_or_else(String::new, ToString::to_string);
    let server = lost.route.servers.iter().find(|s| s.server.port == lost.to.port() && lost.lookup.is_some());
    let meant = server.map_or_else(String::new, |s| format!("{}, ", s.server.host));
    let message = format!(
        "{} sends requests to {meant}{}, which lies in the subnet {subnet} of Docker network {} and is nobody's there: its packets never leave the host.",
        lost.route.gateway.name,
        lost.to.ip(),
        network.name
    );
    let line = format!("network {} has the subnet {subnet}, and no container has {}", network.name, lost.to.ip());
    let mut finding =
        CAUSE.finding(confidence, message).object(&network.reference(), "IPAM.Config[].Subnet").saw(lost.seen).states(line.clone());
    for seen in lost.lookup.into_iter().chain(there) {
        finding = finding.saw(seen);
    }
    finding
        .proof(lost.failing_line(), lost.lookup.map_or_else(|| line.clone(), |seen| format!("{seen}; {line}")))
        .fix("Give the engine other subnets, and make that network anew.")
        .command(format!("ip route get {}   # on the engine's host: leads to a bridge", lost.to.ip()))
        .command(r#"echo '{"default-address-pools": [{"base": "10.210.0.0/16", "size": 24}]}' > /etc/docker/daemon.json && systemctl restart docker   # keep what stands there already"#)
        .command(format!("docker network rm {}   # then make it anew", network.name))
}

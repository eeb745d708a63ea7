use super::lost::{self, Elsewhere, Lost, Way};
use super::meant::{self, Meant};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, FindingBuilder, Judgement, Missing, Platform, When};
use crate::path::ContainerRoute;
use crate::probe::{Observation, Outcome, PodRef, Signature};
use crate::snapshot::objects::docker::{Network, NetworkMode};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-internal-network",
    summary: "the gateway is on internal networks alone, and its upstream is outside",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::NetUnreach, Signature::ConnTimeout, Signature::DnsFail],
    explains: &["docker-alias-typo", "docker-embedded-dns-broken", "docker-forward-drop", "docker-host-firewall-blocks-bridge"],
    since: "0.1.0",
    docs: r"
## What it means
A network that is made with `internal: true` has no way out: no route, no names from outside, no published ports. The gateway is on such networks alone, and sends requests to something beyond them.

## What you see
502 at once (`Network is unreachable`, or a name that is not found), or 504 after the connect time-out. Clients may not reach the gateway's published port either.

## How we know
Every network of the gateway is internal; the upstream is no container of theirs; and the connection, or the look-up of its name, fails from inside the gateway. It is proven where the network is
said to be unreachable, or where the same is answered from the engine's host.

## How to fix
Connect the gateway to a network that is not internal as well.

## Looks like
`docker-embedded-dns-broken`: there is a way out, and outside names still fail. `docker-subnet-overlap`: there is a way out, and it leads to a bridge.

## Limits
What the upstream is beyond the engine is not known: it may not be there at all.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(route) = case.path.container.as_deref() else { return Ok(None) };
    if !is_shut_in(route) {
        return Ok(None);
    }
    for lost in lost::lost(case)? {
        if let Some(confidence) = beyond(case, &lost)? {
            return Ok(of_connection(case, &lost, confidence)?.into());
        }
    }
    of_name(case, route)
}

/// Whether all networks of the gateway are internal.
fn is_shut_in(route: &ContainerRoute) -> bool {
    let Some(gateway) = route.netns_owner().filter(|o| matches!(o.network_mode, NetworkMode::DefaultBridge | NetworkMode::Network(_)))
    else {
        return false;
    };
    let is_internal = |name: &str| route.host.network(name).is_some_and(|n: &std::sync::Arc<Network>| n.internal);
    !gateway.attachments.is_empty() && gateway.attachments.iter().all(|a| is_internal(&a.network))
}

/// How sure it is that a connection fails since it leads out; nothing where it does not.
fn beyond(case: &Case<'_>, lost: &Lost<'_>) -> Result<Option<Confidence>, Missing> {
    let own = lost.gateway().attachments.iter().filter_map(|a| lost.route.host.network(&a.network)).any(|n| n.contains(lost.to.ip()));
    if own || matches!(lost.way, Way::Bridge(..)) || lost.seen.signature() == Some(Signature::Refused) {
        return Ok(None);
    }
    if lost.seen.signature() == Some(Signature::NetUnreach) {
        return Ok(Some(Confidence::Proven));
    }
    let is_answered = matches!(lost.answered_elsewhere(case)?, Elsewhere::Answered(_));
    Ok(Some(if is_answered { Confidence::Proven } else { Confidence::Likely }))
}

fn of_connection(case: &Case<'_>, lost: &Lost<'_>, confidence: Confidence) -> Result<FindingBuilder, Missing> {
    let finding = told(lost.route, confidence, &lost.target()).saw(lost.seen);
    Ok(match lost.answered_elsewhere(case)?.answer() {
        Some(answer) => finding.saw(answer).proof(lost.failing_line(), format!("{answer} (from {})", answer.vantage)),
        None => finding.proof(lost.failing_line(), shut_in(lost.route)),
    })
}

fn of_name(case: &Case<'_>, route: &ContainerRoute) -> Judgement {
    let Some(name) = meant::unresolved(case)?.filter(|n| n.meant == Meant::Outside && n.seen.is_some()) else { return Ok(None) };
    let there = case.ask(meant::lookup(case, name.name()).from_container(&PodRef::docker_host()));
    let there: Option<&Observation> = match there {
        Err(missing @ Missing::Probes(_)) => return Err(missing),
        Err(Missing::Fact(_)) => None,
        Ok(seen) => Some(seen),
    };
    let answer = there.filter(|o| matches!(o.outcome, Outcome::Resolved(_)));
    let confidence = if answer.is_some() { Confidence::Proven } else { Confidence::Likely };
    let finding = name.evidence(told(route, confidence, name.name()));
    Ok(match answer {
        Some(answer) => finding.saw(answer).proof(name.failing_line(), format!("{answer} (from {})", answer.vantage)),
        None => finding.proof(name.failing_line(), shut_in(route)),
    }
    .into())
}

fn shut_in(route: &ContainerRoute) -> String {
    let gateway = route.netns_owner().unwrap_or(&route.gateway);
    let kind = if gateway.attachments.len() == 1 { "internal" } else { "all internal" };
    format!("{} is on {}, {kind}", gateway.name, meant::networks_of(gateway))
}

fn told(route: &ContainerRoute, confidence: Confidence, target: &str) -> FindingBuilder {
    let gateway = route.netns_owner().unwrap_or(&route.gateway);
    let message = format!(
        "{} sends requests to {target}, and is on {} alone, which {} no way out (internal).",
        route.gateway.name,
        meant::networks_of(gateway),
        if gateway.attachments.len() == 1 { "has" } else { "have" }
    );
    let mut finding = CAUSE.finding(confidence, message).object(&gateway.reference(), "NetworkSettings.Networks");
    for network in gateway.attachments.iter().filter_map(|a| route.host.network(&a.network)) {
        finding = finding.object(&network.reference(), "Internal");
    }
    finding
        .states(shut_in(route))
        .fix("Connect the gateway to a network that is not internal as well.")
        .command("docker network create out")
        .command(format!("docker network connect out {}", gateway.name))
}

use super::lost::{self, Elsewhere, Lost, Way};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When, known};
use crate::evidence::firewall::{EngineChains, Firewall};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-iptables-flushed",
    summary: "the engine's rules are gone from the host's packet filter",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::ConnTimeout],
    explains: &["docker-forward-drop", "docker-user-chain-drop", "docker-stale-ip-after-recreate", "listen-backlog-full"],
    since: "0.1.0",
    docs: r"
## What it means
When the engine starts and whenever it starts a container, it writes rules into the host's packet filter, which let containers' packets pass and translate their addresses and ports. A firewall that was
reloaded, or somebody who flushed the filter, has removed them.

## What you see
504 after the connect time-out; published ports that nobody reaches; containers that do not start (`driver failed programming external connectivity`).

## How we know
The host's filter leads packets to none of the engine's chains, neither for forwarding nor for translation, although the engine works with iptables. The gateway's connection is not answered; what is left of
the filter drops it, or does not translate the address that it comes from; and the same connection from the engine's host, or inside the container, is answered.

## How to fix
Restart the engine: it writes its rules anew. Reload firewalls before it, or let firewalld tell it.

## Looks like
`docker-forward-drop`: the engine's rules are there, and another one comes before them.

## Limits
An engine that is told to write no rules (`iptables: false`) looks the same. Tables of nftables itself are not seen: an engine that uses them is not judged.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    for lost in lost::lost(case)?.into_iter().filter(|l| l.is_silent() && !matches!(l.way, Way::Host)) {
        let host = &lost.route.host;
        let Some(firewall) = known(&host.firewall, "the packet filter of the engine's host")? else { continue };
        let Some(packet) = lost.packet() else { continue };
        if firewall.engine_chains(packet.family()) != Some(EngineChains { translate: false, forward: false }) {
            continue;
        }
        match host.engine.uses_iptables() {
            Some(true) => {}
            Some(false) => return Ok(None),
            None => return Err(Missing::Fact("what the engine writes its packet filter with".into())),
        }
        let certain = is_lost_for_it(firewall, &lost);
        let elsewhere = lost.answered_elsewhere(case)?;
        let confidence = match elsewhere {
            Elsewhere::Answered(_) if certain => Confidence::Proven,
            Elsewhere::Answered(_) | Elsewhere::Unknown => Confidence::Likely,
            Elsewhere::Lost => continue,
        };
        return Ok(finding(&lost, confidence, elsewhere).into());
    }
    Ok(None)
}

/// Whether what is left of the filter explains the loss: it drops the packet, or nothing translates the address that it comes from.
fn is_lost_for_it(firewall: &Firewall, lost: &Lost<'_>) -> bool {
    let Some(packet) = lost.packet() else { return false };
    let is_dropped = !firewall.fate("filter", "FORWARD", &packet).passes;
    match lost.way {
        Way::Bridge(..) => is_dropped && lost.route.host.filters_bridges() == Some(true),
        Way::Outside => is_dropped || firewall.chains_of(packet.family(), "nat", "POSTROUTING").all(|chain| chain.rules.is_empty()),
        Way::Host => false,
    }
}

fn finding(lost: &Lost<'_>, confidence: Confidence, elsewhere: Elsewhere<'_>) -> crate::causes::FindingBuilder {
    let gone = "the host's packet filter leads to no chain of the engine (filter FORWARD, nat PREROUTING)".to_owned();
    let message = format!(
        "The engine's rules are gone from the host's packet filter, and what {} sends to {} is lost.",
        lost.route.gateway.name,
        lost.target()
    );
    let mut finding = CAUSE.finding(confidence, message).saw(lost.seen).states(gone.clone());
    let mut passing = gone;
    if let Some(answer) = elsewhere.answer() {
        finding = finding.saw(answer);
        passing = format!("{answer} (from {}); {passing}", answer.vantage);
    }
    finding
        .proof(lost.failing_line(), passing)
        .fix("Restart the engine, which writes its rules anew.")
        .command("systemctl restart docker")
        .command("iptables-save | grep DOCKER")
}

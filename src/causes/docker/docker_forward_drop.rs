use super::filter::{Point, blocked};
use super::lost::{self, Elsewhere, Way};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::evidence::firewall::{Dropped, Firewall};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-forward-drop",
    summary: "the engine's host does not forward the gateway's packets",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach, Signature::Refused],
    explains: &["docker-stale-ip-after-recreate", "listen-backlog-full"],
    since: "0.1.0",
    docs: r"
## What it means
What containers send leaves their network through the host's FORWARD chain, and so does what they send each other where net.bridge.bridge-nf-call-iptables is on. A rule there, or in a chain that it
jumps to, takes the gateway's packets, or the chain's policy does; or the host forwards nothing at all (net.ipv4.ip_forward is off).

## What you see
504 after the connect time-out, or 502 at once where the rule rejects. Names resolve, since the engine answers them itself.

## How we know
The rule matches the first packet of the gateway's connection by all that it asks of it, or forwarding is off; the connection is not answered, and the same one from the engine's host, or inside the
container, is.

## How to fix
Remove the rule or turn forwarding on; `systemctl restart docker` writes the engine's own rules anew.

## Looks like
`docker-user-chain-drop`: the rule is in DOCKER-USER. `docker-iptables-flushed`: the engine's own rules are gone. `docker-icc-disabled`: the network's option asks for it.

## Limits
Rules in tables of nftables itself are not seen. Where it is not known whether bridged packets pass the filter, it is Likely at most for containers of one network.
",
    check,
};

const POINT: Point<'_> =
    Point { table: "filter", entry: "FORWARD", chain: "FORWARD", passes: |way| !matches!(way, Way::Host), is_meant: is_of_owner };

/// Whether it is in none of the engine's own chains.
fn is_of_owner(firewall: &Firewall, dropped: &Dropped<'_>) -> bool {
    let Dropped { chain, .. } = dropped;
    !chain.name.starts_with("DOCKER") && !firewall.leads(chain.family, "filter", "DOCKER-USER", &chain.name)
}

fn check(case: &Case<'_>) -> Judgement {
    let by_rule = blocked(case, &POINT);
    if let Ok(Some(blocked)) = &by_rule {
        let what = if blocked.by.rule.is_some() { "A rule of the engine's host" } else { "The policy of FORWARD on the engine's host" };
        let (gateway, target) = (&blocked.lost.route.gateway.name, blocked.lost.target());
        let message = format!("{what} {} what {gateway} sends to {target}: {}.", blocked.verb(), blocked.rule());
        return Ok(blocked
            .tell(CAUSE.finding(blocked.confidence, message))
            .fix("Remove the rule; restart the engine where its own rules are missing.")
            .command(blocked.removal())
            .command("iptables -S FORWARD")
            .into());
    }
    let forwarding = not_forwarded(case)?;
    if forwarding.is_none() { by_rule.map(|_| None) } else { Ok(forwarding) }
}

/// A connection to the outside, of a host that forwards nothing.
fn not_forwarded(case: &Case<'_>) -> Judgement {
    let Some(route) = case.path.container.as_deref().filter(|r| r.host.engine.forwards == Some(false)) else { return Ok(None) };
    for lost in lost::lost(case)?.into_iter().filter(|l| matches!(l.way, Way::Outside) && l.is_silent()) {
        let elsewhere = lost.answered_elsewhere(case)?;
        let confidence = match elsewhere {
            Elsewhere::Answered(_) => Confidence::Proven,
            Elsewhere::Unknown => Confidence::Likely,
            Elsewhere::Lost => continue,
        };
        let message = format!(
            "The engine's host forwards no packets (net.ipv4.ip_forward is off), so what {} sends to {} goes nowhere.",
            route.gateway.name,
            lost.target()
        );
        let off = "the engine says IPv4Forwarding=false".to_owned();
        let mut finding = CAUSE.finding(confidence, message).saw(lost.seen).states(off.clone());
        let mut passing = off;
        if let Some(answer) = elsewhere.answer() {
            finding = finding.saw(answer);
            passing = format!("{answer} (from {})", answer.vantage);
        }
        return Ok(finding
            .proof(lost.failing_line(), passing)
            .fix("Turn forwarding on, for now and for the next start.")
            .command("sysctl -w net.ipv4.ip_forward=1")
            .command("echo net.ipv4.ip_forward=1 > /etc/sysctl.d/99-docker.conf")
            .into());
    }
    Ok(None)
}

use super::filter::{Point, blocked};
use super::lost::{self, Elsewhere, Lost, Way};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-host-firewall-blocks-bridge",
    summary: "the host's own firewall takes what the gateway sends to the host",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach, Signature::Refused],
    explains: &["docker-host-service-loopback"],
    since: "0.1.0",
    docs: r"
## What it means
The gateway's upstream is a program on the engine's host. Packets from containers to the host pass its INPUT chain, where a firewall such as ufw or firewalld lets in what it knows, and the engine's bridges
are not among it.

## What you see
504 after the connect time-out, or 502 with `No route to host` at once where the firewall rejects. The same address answers on the host itself.

## How we know
The gateway's connection to the host's address is not answered, and the host's own to the same address and port is accepted. It is proven where a rule or the policy of INPUT takes the first packet by all
that it asks of it.

## How to fix
Let the containers' networks in to that port.

## Looks like
`docker-host-service-loopback`: the program listens on 127.0.0.1 alone, and the connection is refused. `docker-host-gateway-missing`: the host's name is not known.

## Limits
Rules in tables of nftables itself are not seen: the finding is Likely then. A port that a container publishes may be translated before INPUT; that is Likely as well.
",
    check,
};

const POINT: Point<'_> =
    Point { table: "filter", entry: "INPUT", chain: "INPUT", passes: |way| matches!(way, Way::Host), is_meant: |_, _| true };

fn check(case: &Case<'_>) -> Judgement {
    let by_rule = blocked(case, &POINT);
    if let Ok(Some(blocked)) = &by_rule {
        let lost = &blocked.lost;
        let confidence = if is_published(lost) { blocked.confidence.max(Confidence::Likely) } else { blocked.confidence };
        let message = format!(
            "The firewall of the engine's host {} what {} sends to the host at {}: {}.",
            blocked.verb(),
            lost.route.gateway.name,
            lost.to,
            blocked.rule()
        );
        let finding = blocked.tell(CAUSE.finding(confidence, message));
        return Ok(finding.fix("Let the containers' networks in to that port.").command(opening(lost)).command("iptables -S INPUT").into());
    }
    let unseen = without_rule(case)?;
    if unseen.is_none() { by_rule.map(|_| None) } else { Ok(unseen) }
}

/// A connection to the host that is lost, while the host answers itself: a firewall whose rules are not seen.
fn without_rule(case: &Case<'_>) -> Result<Option<crate::api::Finding>, Missing> {
    for lost in lost::lost(case)?.into_iter().filter(|l| matches!(l.way, Way::Host) && l.is_silent() && !is_published(l)) {
        let Elsewhere::Answered(answer) = lost.answered_elsewhere(case)? else { continue };
        if answer.signature().is_some() {
            continue;
        }
        let message = format!(
            "What {} sends to the engine's host at {} is lost, and the host answers itself there: a firewall on the host takes it.",
            lost.route.gateway.name, lost.to
        );
        return Ok(CAUSE
            .finding(Confidence::Likely, message)
            .saw(lost.seen)
            .saw(answer)
            .proof(lost.failing_line(), format!("{answer} (from {})", answer.vantage))
            .fix("Let the containers' networks in to that port.")
            .command(opening(&lost))
            .command("iptables -S INPUT; nft list ruleset")
            .into());
    }
    Ok(None)
}

/// Whether a container publishes the port, so that the packet may be for that one.
fn is_published(lost: &Lost<'_>) -> bool {
    lost.route.host.containers.iter().filter(|c| c.runs()).flat_map(|c| &c.published).any(|p| p.bound && p.host_port == lost.to.port())
}

fn opening(lost: &Lost<'_>) -> String {
    let from = lost.place().and_then(|(_, n)| n.subnets.first().copied()).map_or_else(|| "172.16.0.0/12".to_owned(), |s| s.to_string());
    format!(
        "ufw allow from {from} to any port {} proto tcp   # or iptables -I INPUT -s {from} -p tcp --dport {} -j ACCEPT",
        lost.to.port(),
        lost.to.port()
    )
}

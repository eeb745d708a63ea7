use super::filter::{Blocked, Point, blocked};
use super::lost::Way;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndToEnd, Judgement, Missing, Platform, When, known};
use crate::evidence::firewall::{Conditions, Dropped, Firewall, Packet};
use crate::path::ContainerRoute;
use crate::probe::Signature;
use crate::snapshot::objects::docker::Publication;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-user-chain-drop",
    summary: "a rule in the chain DOCKER-USER takes the packets",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Docker,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach, Signature::Refused],
    explains: &["docker-forward-drop", "docker-stale-ip-after-recreate", "listen-backlog-full"],
    since: "0.1.0",
    docs: r"
## What it means
The engine leaves the chain DOCKER-USER to the host's owner, and every packet that is forwarded to or from a container passes it first. A rule there drops or rejects the gateway's packets, or
those of its clients.

## What you see
504 after the connect time-out, or 502 at once where the rule rejects. Where clients' packets are taken, the published port answers on the host itself and nobody else.

## How we know
The rule matches the first packet of the gateway's connection by all that it asks of it; that connection is not answered, and the same one from the engine's host or inside the container is. For
clients: a rule on the gateway's own port or address takes new connections whatever their source and interface, and has taken some.

## How to fix
Remove the rule, or let it ask for what it means. Ports are translated before it comes: it sees the container's port, and `-m conntrack --ctorigdstport` sees the one that the client asked.

## Looks like
`docker-forward-drop`: the rule is in another chain. `docker-host-firewall-blocks-bridge`: the packets are for the host itself. ufw's own rules do not see published ports at all.

## Limits
Rules that ask for a source or an interface are taken for what they are meant to be as far as clients are concerned. Rules in tables of nftables itself are not seen. Packets between containers of one
network pass the filter only where net.bridge.bridge-nf-call-iptables is on; where that is not known, it is Likely at most.
",
    check,
};

const CHAIN: &str = "DOCKER-USER";

const POINT: Point<'_> =
    Point { table: "filter", entry: "FORWARD", chain: CHAIN, passes: |way| !matches!(way, Way::Host), is_meant: |_, _| true };

fn check(case: &Case<'_>) -> Judgement {
    // A route that works has no lost connection.
    let of_gateway = if *case.end_to_end == EndToEnd::Works { Ok(None) } else { blocked(case, &POINT) };
    if let Ok(Some(blocked)) = &of_gateway {
        return Ok(of_upstream(blocked).into());
    }
    let of_clients = of_clients(case)?;
    if of_clients.is_none() { of_gateway.map(|_| None) } else { Ok(of_clients) }
}

fn of_upstream(blocked: &Blocked<'_>) -> crate::causes::FindingBuilder {
    let message = format!(
        "A rule in {CHAIN} {} what {} sends to {}: {}.",
        blocked.verb(),
        blocked.lost.route.gateway.name,
        blocked.lost.target(),
        blocked.rule()
    );
    blocked
        .tell(CAUSE.finding(blocked.confidence, message))
        .fix("Remove the rule, or let it ask for what it means.")
        .command(blocked.removal())
        .command(format!("iptables -S {CHAIN}"))
}

/// The gateway's own port, which no client can reach.
fn of_clients(case: &Case<'_>) -> Judgement {
    let Some(route) = case.path.container.as_deref().filter(|r| r.gateway.runs()) else { return Ok(None) };
    let open: Vec<&Publication> = route.gateway.published.iter().filter(|p| p.bound && !p.host_ip.is_loopback()).collect();
    let firewall = match known(&route.host.firewall, "the packet filter of the engine's host") {
        // It is not read everywhere, and is needed for nothing else on a route that works.
        Err(missing) => return unread(case, &open, missing),
        Ok(None) => return Ok(None),
        Ok(Some(firewall)) => firewall,
    };
    for publication in open {
        if let Some(by) = shut(route, firewall, publication) {
            let line = format!("filter: {} ({} packets)", crate::report::escape::line(&by.text()), by.packets());
            let port = format!("{}:{}", publication.host_ip, publication.host_port);
            let message = format!(
                "Nobody but the engine's host reaches {} at its published port {port}: a rule in {CHAIN} takes connections to its port {} from everywhere.",
                route.gateway.name, publication.port
            );
            return Ok(CAUSE
                .finding(Confidence::Likely, message)
                .severity(Severity::Warning)
                .object(&route.gateway.reference(), "HostConfig.PortBindings")
                .states(line.clone())
                .proof(line, format!("{} publishes {port}", route.gateway.name))
                .fix("Remove the rule, or let it ask for the source or the interface that it means.")
                .command(format!("iptables -S {CHAIN}"))
                .into());
        }
    }
    Ok(None)
}

fn unread(case: &Case<'_>, open: &[&Publication], missing: Missing) -> Judgement {
    if open.is_empty() || *case.end_to_end == EndToEnd::Works { Ok(None) } else { Err(missing) }
}

/// The rule that takes all clients' connections to a published port, and has taken some.
fn shut<'f>(route: &ContainerRoute, firewall: &'f Firewall, publication: &Publication) -> Option<Dropped<'f>> {
    let owner = route.netns_owner()?;
    let address = owner.attachments.iter().find_map(|a| a.address)?;
    let packet = Packet::first(None, address, publication.port);
    if !firewall.leads(packet.family(), "filter", "FORWARD", CHAIN) || firewall.fate("filter", "FORWARD", &packet).passes {
        return None;
    }
    let by = firewall.fate("filter", CHAIN, &packet).certain().filter(|d| d.packets() > 0)?;
    // A rule on everything closes the whole host, which is meant.
    Conditions::parse(&by.rule?.text).is_of_destination().then_some(by)
}

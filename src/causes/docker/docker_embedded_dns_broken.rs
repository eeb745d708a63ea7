use std::net::{IpAddr, SocketAddr};

use super::meant::{self, Meant, Unresolved};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, NO_SUCH_HOST, Platform, When};
use crate::probe::{DnsFailure, Observation, Outcome, PodRef, Probe, Question, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-embedded-dns-broken",
    summary: "the engine's DNS knows the names of containers and cannot look up any other",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::DnsFail],
    explains: &["docker-alias-typo"],
    since: "0.1.0",
    docs: r"
## What it means
The upstream is a name from outside the engine. The DNS that the engine gives its networks, at 127.0.0.11, hands such names on to other servers, those of the host or of the container's own `dns`, and these do
not answer it.

## What you see
502 after some seconds, with a name that is not found or a failure of the server; the engine's log says `failed to query external DNS server`. Names of containers resolve as ever.

## How we know
From inside the gateway the engine's DNS finds the name of a container, fails for the upstream's name, and fails for a name under `.invalid` as well, which every working resolver knows not to exist.

## How to fix
Name servers that can be reached: `dns` of the container, or of the engine in /etc/docker/daemon.json.

## Looks like
`docker-alias-typo`: the name does not exist, and is said not to. `docker-internal-network`: the gateway has no way out at all.

## Limits
Networks that are meant to have no names from outside look the same.
",
    check,
};

/// Where the engine's DNS listens inside every container of a network that somebody made.
const EMBEDDED: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 11)), 53);

fn check(case: &Case<'_>) -> Judgement {
    let Some(name) = meant::unresolved(case)?.filter(|n| n.meant == Meant::Outside) else { return Ok(None) };
    let Some(seen) = name.seen.filter(|o| is_failing(o)) else { return Ok(None) };
    let gateway = name.route.netns_owner().unwrap_or(&name.route.gateway);
    if !gateway.has_dns() {
        return Ok(None);
    }
    let Some(own) = known_name(&name) else { return Ok(None) };
    let probes = [at_embedded(case, own), at_embedded(case, name.name()), at_embedded(case, NO_SUCH_HOST)];
    case.ask_all(probes.to_vec())?;
    let [own, same, nobody] = probes;
    let (own, same, nobody) = (case.ask(own)?, case.ask(same)?, case.ask(nobody)?);
    if !matches!(own.outcome, Outcome::Resolved(_)) || !is_failing(same) || !is_failing(nobody) {
        return Ok(None);
    }
    let there = match case.ask(meant::lookup(case, name.name()).from_container(&PodRef::docker_host())) {
        Err(missing @ Missing::Probes(_)) => return Err(missing),
        there => there.ok().filter(|o| matches!(o.outcome, Outcome::Resolved(_))),
    };
    let servers: Vec<String> = gateway.dns.iter().map(ToString::to_string).collect();
    let asks = if servers.is_empty() { "the host's DNS servers".to_owned() } else { servers.join(", ") };
    let message = format!(
        "{} sends requests to {}, and the engine's DNS finds no name but those of containers: {asks} do{} not answer it.",
        name.written(),
        name.name(),
        if servers.len() == 1 { "es" } else { "" }
    );
    let mut finding = CAUSE.finding(Confidence::Proven, message).object(&gateway.reference(), "HostConfig.Dns");
    for seen in [seen, same, nobody, own].into_iter().chain(there) {
        finding = finding.saw(seen);
    }
    finding = finding.proof(seen.to_string(), own.to_string());
    Ok(if servers.is_empty() {
        finding
            .fix("Name DNS servers that the engine's host reaches, in /etc/docker/daemon.json.")
            .command(
                r#"echo '{"dns": ["SERVER"]}' > /etc/docker/daemon.json && systemctl restart docker   # keep what stands there already"#,
            )
            .command("journalctl -u docker | grep 'external DNS'")
    } else {
        finding
            .fix("Mend the container's own `dns`, or leave it out so that the host's servers are asked.")
            .command(format!("docker inspect -f '{{{{.HostConfig.Dns}}}}' {}", gateway.name))
    }
    .into())
}

fn at_embedded(case: &Case<'_>, name: &str) -> Probe {
    Probe { timeout: case.timeout, ..Probe::new(Question::Resolve { name: name.to_owned(), server: Some(EMBEDDED) }) }
}

/// A failure of whoever looks it up. That a name does not exist, or has no address, is an answer.
fn is_failing(seen: &Observation) -> bool {
    use DnsFailure::{Refused, ServFail, Timeout, Unreachable};
    matches!(seen.outcome, Outcome::NotResolved(ServFail | Timeout | Refused | Unreachable))
}

/// A name that the engine's DNS has to know: another container's on a network of the gateway, else the gateway's own.
fn known_name<'a>(name: &Unresolved<'a>) -> Option<&'a str> {
    let gateway = name.route.netns_owner().unwrap_or(&name.route.gateway);
    let others = name.route.host.containers.iter().filter(|c| c.runs() && c.id != gateway.id).chain([gateway]);
    let places = others.flat_map(|c| &c.attachments).filter(|a| a.has_dns() && gateway.attachment(&a.network).is_some());
    places.filter(|a| a.address.is_some()).find_map(|a| a.names.first()).map(String::as_str)
}

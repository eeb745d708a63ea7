use std::net::{IpAddr, SocketAddr};

use super::meant;
use super::refused::{self, Fault};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndToEnd, FindingBuilder, Judgement, Missing, Platform, When};
use crate::path::{ContainerRoute, Leads, ServerPath};
use crate::probe::{Observation, Outcome, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-ipv6-aaaa",
    summary: "the gateway calls the upstream over one IP family, and it serves the other alone",
    hop: Hop::Socket,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::Refused, Signature::NetUnreach, Signature::HostUnreach, Signature::ConnTimeout],
    explains: &["docker-app-binds-loopback", "docker-upstream-localhost", "docker-upstream-port-wrong"],
    since: "0.1.0",
    docs: r"
## What it means
A name may have an IPv6 address beside its IPv4 one, and `localhost` has ::1. Where the network has no IPv6, or the program listens on IPv4 alone, a gateway that calls the IPv6 address fails, always or by turns.

## What you see
502 or 503, always or for a share of requests; the log names the upstream as `[…]`.

## How we know
The IPv6 address fails, and the same request to the IPv4 address of the same name is answered; or the listen table inside the container has the port for the other family alone.

## How to fix
Let the program listen on both families (`[::]`), or keep the gateway to IPv4 (nginx: `resolver 127.0.0.11 ipv6=off`; 127.0.0.1 in place of localhost).

## Looks like
`docker-upstream-port-wrong`: the port refuses on both families.

## Limits
Gateways that turn to the other family at once where one fails work all the same: then nothing is said.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(route) = case.path.container.as_deref().filter(|r| r.gateway.runs()) else { return Ok(None) };
    if let Some(refused) = refused::refused(case)?
        && refused.fault() == Fault::Family
    {
        let (called, serves) = if refused.to.is_ipv6() { ("IPv6", "IPv4") } else { ("IPv4", "IPv6") };
        let message = format!("{} over {called}, and {} listens on {serves} alone.", refused.sends(), refused.container.name);
        return Ok(refused.evidence(CAUSE.finding(Confidence::Proven, message)).fix(FIX).into());
    }
    if !matches!(case.end_to_end, EndToEnd::Fails | EndToEnd::Partly { .. }) {
        return Ok(None);
    }
    for server in &route.servers {
        let Some((six, four)) = families(case, route, server)? else { continue };
        let scheme = case.path.backend.scheme;
        let at = |ip| case.request_to(SocketAddr::new(ip, server.server.port), scheme);
        case.ask_all(vec![at(six), at(four)])?;
        let (Some(failing), Some(passing)) = (case.seen.get(&at(six)), case.seen.get(&at(four))) else { continue };
        if failing.signature().is_some_and(|s| CAUSE.signatures.contains(&s)) && answers(passing) {
            return Ok(told(route, server, failing, passing).into());
        }
    }
    Ok(None)
}

const FIX: &str = "Let the program listen on both families ([::]), or keep the gateway to IPv4 (nginx: `resolver 127.0.0.11 ipv6=off`).";

/// An address of each family that a server stands for.
fn families(case: &Case<'_>, route: &ContainerRoute, server: &ServerPath) -> Result<Option<(IpAddr, IpAddr)>, Missing> {
    if let Ok(IpAddr::V6(literal)) = server.server.host.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(twin(route, server, literal.into()).map(|four| (literal.into(), four)));
    }
    if server.is_address() || !may_have_both(route, server) {
        return Ok(None);
    }
    let Outcome::Resolved(addresses) = &case.ask(meant::lookup(case, &server.server.host))?.outcome else { return Ok(None) };
    let of = |v6: bool| addresses.iter().copied().find(|ip| ip.is_ipv6() == v6);
    Ok(of(true).zip(of(false)))
}

/// The IPv4 address of who has an IPv6 address.
fn twin(route: &ContainerRoute, server: &ServerPath, six: IpAddr) -> Option<IpAddr> {
    if six.is_loopback() {
        return Some(IpAddr::from([127, 0, 0, 1]));
    }
    let Leads::Containers(found) = &server.leads else { return None };
    let gateway = route.netns_owner().unwrap_or(&route.gateway);
    let places = found.iter().flat_map(|(c, _)| &c.attachments).filter(|a| gateway.attachment(&a.network).is_some());
    places.filter(|a| a.has(six)).find_map(|a| a.address)
}

/// Whether a name may give addresses of both families: `localhost`, one of a network with IPv6, or one from outside.
fn may_have_both(route: &ContainerRoute, server: &ServerPath) -> bool {
    let gateway = route.netns_owner().unwrap_or(&route.gateway);
    match &server.leads {
        Leads::Loopback(_) | Leads::Name => true,
        Leads::Containers(found) => {
            let places = found.iter().flat_map(|(c, _)| &c.attachments);
            places.filter(|a| gateway.attachment(&a.network).is_some()).any(|a| a.address6.is_some())
        }
        Leads::Host(_) | Leads::Address(_) => false,
    }
}

fn answers(seen: &Observation) -> bool {
    seen.response().is_some() && seen.signature().is_none()
}

fn told(route: &ContainerRoute, server: &ServerPath, failing: &Observation, passing: &Observation) -> FindingBuilder {
    let message = format!(
        "{} sends requests to {}, which fails over IPv6 ({}) and answers over IPv4.",
        meant::written(route, server),
        server.server,
        failing.outcome_text()
    );
    // A name's other address may be what the gateway takes; a written one is.
    let confidence = if server.is_address() { Confidence::Proven } else { Confidence::Likely };
    CAUSE
        .finding(confidence, message)
        .object(&route.gateway.reference(), &server.server.place.to_string())
        .saw(failing)
        .saw(passing)
        .proof(failing.to_string(), passing.to_string())
        .fix(FIX)
}

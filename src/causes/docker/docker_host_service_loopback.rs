use std::net::{Ipv4Addr, SocketAddr};

use super::host::{HostRefuses, published, refuses};
use super::meant;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::ports::Table;
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When};
use crate::evidence::inside::Listens;
use crate::probe::{Observation, Outcome, PodRef, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-host-service-loopback",
    summary: "the program on the host listens on 127.0.0.1, and the gateway calls it at a bridge's address",
    hop: Hop::Socket,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::Refused],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The application runs on the host, not in a container, and listens on 127.0.0.1. A container reaches the host by a bridge's address (`host.docker.internal`, 172.17.0.1), where nobody listens.

## What you see
502 or 503 at once, while the application answers on the host itself.

## How we know
The upstream leads to the host and is refused there; no container publishes the port; and the host's listen table has the port on 127.0.0.1, or the port accepts on the host's own loopback.

## How to fix
Let the program listen on the bridge's address, or on every one with a firewall in front; or run it in a container.

## Looks like
`docker-publish-loopback-only`: a container's published port. `docker-host-firewall-blocks-bridge`: the request is lost, or rejected, instead of refused. `docker-host-gateway-missing`: the name is not found.

## Limits
Where nobody can look at the host, it is no more than Possible: the program may as well not run.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(refused) = refuses(case)? else { return Ok(None) };
    let HostRefuses { route, server, to, seen } = refused;
    if published(route, to.port()).next().is_some() {
        return Ok(None);
    }
    let begin = |confidence, how: &str| {
        let message = format!("{} sends requests to {}, the host, where {how}.", meant::written(route, server), server.server);
        CAUSE.finding(confidence, message).object(&route.gateway.reference(), &server.server.place.to_string()).saw(seen)
    };
    let listens = format!("a program listens on 127.0.0.1:{} only", to.port());
    let finding = match on_host(case, &refused)? {
        OnHost::Table(table) => match table.at {
            Listens::LoopbackOnly(listener) | Listens::AnotherAddress(listener) => {
                let line = table.bound_line(listener);
                let how = format!("{} listens on {} only", listener.owner(), SocketAddr::new(listener.address, listener.port));
                begin(Confidence::Proven, &how).looked(table.look, line.clone()).proof(seen.to_string(), line)
            }
            _ => return Ok(None),
        },
        OnHost::Loopback(accepted) if accepted.outcome == Outcome::Connected => {
            begin(Confidence::Proven, &listens).saw(accepted).proof(seen.to_string(), accepted.to_string())
        }
        OnHost::Loopback(_) => return Ok(None),
        OnHost::Unknown => {
            let look = format!("ss -ltnp 'sport = :{}'", to.port());
            let how = format!("port {} is refused; the program may listen on 127.0.0.1 only, or not run", to.port());
            begin(Confidence::Possible, &how)
                .proof(seen.to_string(), format!("{look}: 127.0.0.1:{} is loopback only", to.port()))
                .command(look)
        }
    };
    Ok(finding.fix(format!("Let the program listen on {} as well, or on 0.0.0.0 behind a firewall.", to.ip())).into())
}

/// What the host itself shows of a port.
enum OnHost<'a> {
    Table(Table<'a>),
    Loopback(&'a Observation),
    Unknown,
}

fn on_host<'a>(case: &Case<'a>, refused: &HostRefuses<'a>) -> Result<OnHost<'a>, Missing> {
    // Elsewhere than on Linux the host is another machine than the engine's.
    if refused.route.host.engine.is_apart() {
        return Ok(OnHost::Unknown);
    }
    if let Some(look) = case.look_docker_host_if_possible()? {
        return Ok(OnHost::Table(Table::of(look, refused.to.ip(), refused.to.port())));
    }
    let loopback = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), refused.to.port());
    match case.ask(case.connect_to(loopback).from_container(&PodRef::docker_host())) {
        Err(Missing::Fact(_)) => Ok(OnHost::Unknown),
        seen => seen.map(OnHost::Loopback),
    }
}

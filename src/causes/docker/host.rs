//! Upstreams that lead to the engine's host, and are refused there.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::meant::{HOST_NAMES, lookup};
use crate::causes::{Case, Missing};
use crate::path::{ContainerRoute, Leads, ServerPath};
use crate::probe::{Observation, Outcome, Signature};
use crate::snapshot::objects::docker::{Container, Publication};

/// A server of the upstream that leads to the host, where its port is refused.
#[derive(Clone, Copy, Debug)]
pub struct HostRefuses<'a> {
    /// The route.
    pub route: &'a ContainerRoute,
    /// The server.
    pub server: &'a ServerPath,
    /// Where the request went.
    pub to: SocketAddr,
    /// The request.
    pub seen: &'a Observation,
}

/// The first server that leads to the host and is refused: by an address of a bridge or another one that the host has, or by a name that
/// stands for the host.
pub fn refuses<'a>(case: &Case<'a>) -> Result<Option<HostRefuses<'a>>, Missing> {
    let Some(route) = case.path.container.as_deref().filter(|r| r.gateway.runs()) else { return Ok(None) };
    for server in &route.servers {
        let addresses = match &server.leads {
            Leads::Host(ip) | Leads::Address(ip) => vec![*ip],
            Leads::Name if HOST_NAMES.iter().any(|n| n.eq_ignore_ascii_case(&server.server.host)) => {
                match &case.ask(lookup(case, &server.server.host))?.outcome {
                    Outcome::Resolved(addresses) => addresses.clone(),
                    _ => continue,
                }
            }
            _ => continue,
        };
        for ip in addresses {
            let to = SocketAddr::new(ip, server.server.port);
            let seen = case.ask(case.request_to(to, case.path.backend.scheme))?;
            if seen.signature() == Some(Signature::Refused) && (!matches!(server.leads, Leads::Address(_)) || is_hosts(case, route, ip)?) {
                return Ok(Some(HostRefuses { route, server, to, seen }));
            }
        }
    }
    Ok(None)
}

/// Whether the host has an address: somebody publishes a port there, or its own table says so. No where nobody can look.
fn is_hosts(case: &Case<'_>, route: &ContainerRoute, ip: IpAddr) -> Result<bool, Missing> {
    if route.host.containers.iter().flat_map(|c| &c.published).any(|p| p.bound && p.host_ip == ip) {
        return Ok(true);
    }
    // Elsewhere than on Linux what the engine calls its host is a machine within the host.
    if route.host.engine.is_apart() {
        return Ok(false);
    }
    Ok(case.look_docker_host_if_possible()?.is_some_and(|look| look.inside.addresses.contains(&ip)))
}

/// The running containers that publish a port of the host, with how.
pub fn published(route: &ContainerRoute, port: u16) -> impl Iterator<Item = (&Arc<Container>, &Publication)> {
    let running = route.host.containers.iter().filter(|c| c.runs());
    running.flat_map(|c| c.published.iter().map(move |p| (c, p))).filter(move |(_, p)| p.host_port == port && p.bound)
}

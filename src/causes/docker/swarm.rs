//! Upstreams that are services of a Swarm, by what its DNS says inside the gateway: the service's own address and those of its tasks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::meant;
use crate::causes::{Case, Missing};
use crate::path::{ContainerRoute, Leads};
use crate::probe::{DnsFailure, Observation, Outcome};
use crate::snapshot::objects::docker::{Container, Network};

/// Tasks that are asked at most.
const MOST: usize = 8;

/// A service that the upstream's name stands for.
#[derive(Clone, Debug)]
pub struct Service<'a> {
    /// The route.
    pub route: &'a ContainerRoute,
    /// Its name, as the configuration writes it.
    pub name: &'a str,
    /// The overlay network that it has its address in.
    pub network: &'a Arc<Network>,
    /// The look-up of its name.
    pub lookup: &'a Observation,
    /// The address that its name gives, with the upstream's port.
    pub to: SocketAddr,
    /// The look-up of its tasks.
    pub task_lookup: &'a Observation,
    /// The addresses of its tasks.
    pub tasks: Vec<SocketAddr>,
}

/// The first server of an upstream that is a service of a Swarm. None where the gateway is on no overlay network.
pub fn service<'a>(case: &Case<'a>) -> Result<Option<Service<'a>>, Missing> {
    let Some(route) = case.path.container.as_deref().filter(|r| r.gateway.runs()) else { return Ok(None) };
    let Some(gateway) = route.netns_owner() else { return Ok(None) };
    let networks = || gateway.attachments.iter().filter_map(|a| route.host.network(&a.network)).filter(|n| n.driver == "overlay");
    if networks().next().is_none() {
        return Ok(None);
    }
    for server in route.servers.iter().filter(|s| s.leads == Leads::Name) {
        let (name, port) = (server.server.host.as_str(), server.server.port);
        let lookup = case.ask(meant::lookup(case, name))?;
        let Outcome::Resolved(addresses) = &lookup.outcome else { continue };
        let Some(ip) = addresses.first().copied() else { continue };
        let Some(network) = networks().find(|n| n.contains(ip)) else { continue };
        let task_lookup = case.ask(meant::lookup(case, &format!("tasks.{name}")))?;
        let tasks: Vec<SocketAddr> = match &task_lookup.outcome {
            Outcome::Resolved(ips) => ips.iter().take(MOST).map(|ip| SocketAddr::new(*ip, port)).collect(),
            Outcome::NotResolved(DnsFailure::NxDomain | DnsFailure::NoData) => Vec::new(),
            _ => return Err(Missing::Fact(format!("{}: {}", task_lookup.probe, task_lookup.outcome_text()))),
        };
        return Ok(Some(Service { route, name, network, lookup, to: SocketAddr::new(ip, port), task_lookup, tasks }));
    }
    Ok(None)
}

impl<'a> Service<'a> {
    /// Whether its name gives an address of its own, which stands for all tasks.
    pub fn has_own_address(&self) -> bool {
        !self.tasks.contains(&self.to)
    }

    /// A connection to its own address.
    pub fn seen(&self, case: &Case<'a>) -> Result<&'a Observation, Missing> {
        case.ask(case.connect_to(self.to))
    }

    /// Connections to its tasks.
    pub fn tasks_seen(&self, case: &Case<'a>) -> Result<Vec<&'a Observation>, Missing> {
        if self.tasks.is_empty() { Ok(Vec::new()) } else { case.ask_all(self.tasks.iter().map(|to| case.connect_to(*to)).collect()) }
    }

    /// The container of this engine that has a task's address; none where the task runs elsewhere.
    pub fn container_of(&self, ip: IpAddr) -> Option<&'a Arc<Container>> {
        self.route.host.owner_of(ip)
    }
}

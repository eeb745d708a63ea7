//! Upstreams that are services of a Swarm, by what its DNS says inside the gateway: the service's own address and those of its tasks; and ports
//! that a Swarm publishes on its nodes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::meant;
use crate::causes::{Case, Missing};
use crate::evidence::firewall::{Conditions, Match, Packet, Rule};
use crate::path::{ContainerRoute, Leads};
use crate::probe::{DnsFailure, Observation, Outcome};
use crate::snapshot::objects::docker::{Container, Host, Network};

/// Label of a task's container: the name of its service.
pub const SERVICE: &str = "com.docker.swarm.service.name";
/// The chain in which a node translates ports of the routing mesh.
const MESH: &str = "DOCKER-INGRESS";
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

/// How this engine shows that the Swarm publishes a port.
#[derive(Clone, Copy, Debug)]
pub enum Published<'a> {
    /// In mode `host`: this task here publishes it as any container does.
    ByTask(&'a Arc<Container>),
    /// In mode `ingress`: this rule translates it for the routing mesh.
    ByMesh(&'a Rule),
}

impl std::fmt::Display for Published<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Published::ByTask(task) => write!(f, "{} is a task and publishes the port on its own node", task.name),
            Published::ByMesh(rule) => write!(f, "{}", rule.text),
        }
    }
}

/// Whether an engine is a node of a Swarm: only these have overlay networks.
pub fn is_part_of_one(host: &Host) -> bool {
    host.networks.iter().any(|n| n.driver == "overlay")
}

/// How the Swarm publishes a port, as far as this engine shows. Unknown where nobody read its rules.
pub fn published(host: &Host, to: SocketAddr) -> Result<Option<Published<'_>>, Missing> {
    let is_task = |c: &&Arc<Container>| c.labels.contains_key(SERVICE) && c.published.iter().any(|p| p.host_port == to.port());
    if let Some(task) = host.containers.iter().find(is_task) {
        return Ok(Some(Published::ByTask(task)));
    }
    let packet = Packet::first(None, to.ip(), to.port());
    let known = host.firewall.known().filter(|f| !f.unread.contains_key(&packet.family()));
    let Some(firewall) = known else { return Err(Missing::Fact(format!("how the Swarm publishes port {}", to.port()))) };
    let translates = |rule: &&Rule| {
        let conditions = Conditions::parse(&rule.text);
        conditions.target.as_deref() == Some("DNAT") && conditions.is_of_destination() && conditions.matches(&packet) == Match::Yes
    };
    Ok(firewall.chains_of(packet.family(), "nat", MESH).flat_map(|chain| &chain.rules).find(translates).map(Published::ByMesh))
}

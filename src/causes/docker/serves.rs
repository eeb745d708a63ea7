//! Who answers on a port, where the gateway's upstream leads to nobody who does.

use std::net::SocketAddr;
use std::sync::Arc;

use super::meant;
use crate::causes::ports::{Grade, Hints, grade};
use crate::causes::{Case, Missing};
use crate::path::ContainerRoute;
use crate::probe::{Observation, Signature};
use crate::snapshot::objects::docker::{Container, NetworkMode};

/// Containers that are asked at most.
const MOST: usize = 10;

/// A container that was probably meant, since it serves a port.
#[derive(Clone, Debug)]
pub struct Serves<'a> {
    /// The container.
    pub container: &'a Arc<Container>,
    /// The port that it serves.
    pub port: u16,
    /// The same request to it; none where the gateway shares no network with it.
    pub seen: Option<&'a Observation>,
    /// How well it answers; none where it was not asked, or refuses.
    pub grade: Option<Grade>,
    /// The name that a network of the gateway knows it by; none on networks without names.
    pub name: Option<String>,
}

impl Serves<'_> {
    /// Whether it answers the route's request as an application does.
    pub fn is_seen(&self) -> bool {
        self.grade == Some(Grade::Serves)
    }

    /// Where it serves, as a line of proof.
    pub fn line(&self) -> String {
        match self.seen {
            Some(seen) => format!("{seen} ({})", self.container.name),
            None => format!("{} declares port {}, on {}", self.container.name, self.port, meant::networks_of(self.container)),
        }
    }
}

/// The running container, beside the gateway and those that a list leaves out, that most likely serves a port: one that answers there before
/// one that only declares it, and one of the gateway's own project first.
pub fn serving<'a>(
    case: &Case<'a>,
    route: &'a ContainerRoute,
    port: u16,
    without: &[&Arc<Container>],
) -> Result<Option<Serves<'a>>, Missing> {
    let gateway = route.netns_owner().unwrap_or(&route.gateway);
    let is_other =
        |c: &&Arc<Container>| c.runs() && c.id != gateway.id && c.id != route.gateway.id && !without.iter().any(|w| w.id == c.id);
    let mut others: Vec<Candidate<'a>> = route.host.containers.iter().filter(is_other).map(|c| Candidate::of(gateway, c, port)).collect();
    others.retain(|c| c.declares || c.to.is_some());
    others.sort_by_key(|c| (!c.declares, c.to.is_none(), c.container.project() != route.gateway.project()));
    others.truncate(MOST);
    let probes: Vec<_> = others.iter().filter_map(|c| Some(case.request_to(c.to?, case.path.backend.scheme))).collect();
    if !probes.is_empty() {
        match case.ask_all(probes) {
            Err(missing @ Missing::Probes(_)) => return Err(missing),
            Ok(_) | Err(Missing::Fact(_)) => {}
        }
    }
    let serves = others.into_iter().map(|c| {
        let seen = c.to.and_then(|to| case.seen.get(&case.request_to(to, case.path.backend.scheme)));
        let name = c.to.is_some() && gateway.attachments.iter().any(|a| a.has_dns() && c.container.attachment(&a.network).is_some());
        let name = name.then(|| meant::name_here(gateway, c.container));
        let graded = Serves { container: c.container, port: c.port, seen, grade: seen.filter(|o| was_reached(o)).and_then(grade), name };
        (c.declares, graded)
    });
    let mut found: Vec<_> = serves.filter(|(declares, s)| *declares || s.grade > Some(Grade::Accepts)).collect();
    // The first of equals stays the first.
    found.sort_by_key(|(declares, s)| std::cmp::Reverse((s.grade, *declares)));
    Ok(found.into_iter().next().map(|(_, serves)| serves))
}

fn was_reached(seen: &Observation) -> bool {
    !matches!(seen.signature(), Some(Signature::Refused | Signature::ConnTimeout | Signature::HostUnreach | Signature::NetUnreach))
}

/// A container that may serve a port.
struct Candidate<'a> {
    container: &'a Arc<Container>,
    port: u16,
    to: Option<SocketAddr>,
    declares: bool,
}

impl<'a> Candidate<'a> {
    fn of(gateway: &Container, container: &'a Arc<Container>, port: u16) -> Self {
        let told = Hints::told(&container.command, &container.environment);
        let own = container.exposed.contains(&port) || told.ports().any(|(p, _)| p == port);
        // Whoever writes the host's port means the container that is published there.
        let published = container.published.iter().find(|p| p.host_port == port).map(|p| p.port);
        let at = published.filter(|_| !own).unwrap_or(port);
        let is_near = |network: &str| gateway.network_mode == NetworkMode::Host || gateway.attachment(network).is_some();
        let address = container.attachments.iter().filter(|a| is_near(&a.network)).find_map(|a| a.address.or(a.address6));
        Candidate { container, port: at, to: address.map(|ip| SocketAddr::new(ip, at)), declares: own || published.is_some() }
    }
}

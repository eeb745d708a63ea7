//! Connections of the gateway that are lost or turned away on their way, and where they come to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::meant;
use crate::causes::{Case, Missing};
use crate::evidence::firewall::Packet;
use crate::path::{ContainerRoute, Leads};
use crate::probe::{Observation, Outcome, PodRef, Probe, Signature};
use crate::snapshot::objects::docker::{Attachment, Container, Network, NetworkMode};

/// How a connection looks that does not come through.
pub const SIGNATURES: &[Signature] = &[Signature::ConnTimeout, Signature::HostUnreach, Signature::NetUnreach, Signature::Refused];

/// A connection of the gateway that does not come through.
#[derive(Clone, Debug)]
pub struct Lost<'a> {
    /// The route.
    pub route: &'a ContainerRoute,
    /// Where to.
    pub to: SocketAddr,
    /// The gateway's own attempt.
    pub seen: &'a Observation,
    /// Which way it goes.
    pub way: Way<'a>,
    /// The look-up that gave the address, where the configuration has a name from outside the engine.
    pub lookup: Option<&'a Observation>,
}

/// Which way packets go from the gateway.
#[derive(Clone, Copy, Debug)]
pub enum Way<'a> {
    /// Over the bridge of a network that both are on, to this container.
    Bridge(&'a Arc<Network>, &'a Arc<Container>),
    /// To the engine's host itself.
    Host,
    /// To an address that is neither a container's nor the host's.
    Outside,
}

/// The connections of a route that do not come through. None where the gateway lives in the host's own network or in none.
pub fn lost<'a>(case: &Case<'a>) -> Result<Vec<Lost<'a>>, Missing> {
    let Some(route) = case.path.container.as_deref().filter(|r| has_own_network(r)) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for view in case.walked_with(SIGNATURES)? {
        let Some(to) = view.endpoint.socket() else { continue };
        let Some(way) = way(route, to.ip(), view.endpoint.container.as_ref()) else { continue };
        found.push(Lost { route, to, seen: view.seen, way, lookup: None });
    }
    for server in route.servers.iter().filter(|s| s.leads == Leads::Name && route.gateway.runs()) {
        let lookup = case.ask(meant::lookup(case, &server.server.host))?;
        let Outcome::Resolved(addresses) = &lookup.outcome else { continue };
        let Some(ip) = addresses.iter().find(|ip| ip.is_ipv4()).or(addresses.first()) else { continue };
        let to = SocketAddr::new(*ip, server.server.port);
        let seen = case.ask(case.connect_to(to))?;
        let Some(way) = way(route, *ip, route.host.owner_of(*ip)) else { continue };
        if seen.signature().is_some_and(|s| SIGNATURES.contains(&s)) {
            found.push(Lost { route, to, seen, way, lookup: Some(lookup) });
        }
    }
    Ok(found)
}

fn has_own_network(route: &ContainerRoute) -> bool {
    route.netns_owner().is_some_and(|owner| matches!(owner.network_mode, NetworkMode::DefaultBridge | NetworkMode::Network(_)))
}

fn way<'a>(route: &'a ContainerRoute, ip: IpAddr, container: Option<&'a Arc<Container>>) -> Option<Way<'a>> {
    let gateway = route.netns_owner()?;
    if ip.is_loopback() || gateway.attachments.iter().any(|a| a.has(ip)) {
        return None;
    }
    let host = &route.host;
    if host.networks.iter().any(|n| n.gateways.contains(&ip)) {
        return Some(Way::Host);
    }
    match container.or_else(|| host.owner_of(ip)) {
        Some(container) => {
            let place = container.attachments.iter().find(|a| a.has(ip) && gateway.attachment(&a.network).is_some())?;
            let network = host.network(&place.network).filter(|n| n.driver == "bridge")?;
            Some(Way::Bridge(network, container))
        }
        None => Some(Way::Outside),
    }
}

impl<'a> Lost<'a> {
    /// The container whose network the gateway lives in.
    pub fn gateway(&self) -> &'a Arc<Container> {
        self.route.netns_owner().unwrap_or(&self.route.gateway)
    }

    /// Its place in the network that the packets go out by; nothing where the engine chooses among several.
    pub fn place(&self) -> Option<(&'a Attachment, &'a Arc<Network>)> {
        let host = &self.route.host;
        let mut places = self.gateway().attachments.iter().filter_map(|a| Some((a, host.network(&a.network)?)));
        if let Way::Bridge(network, _) = self.way {
            return places.find(|(_, n)| n.id == network.id);
        }
        if let Some(own) = places.clone().find(|(_, n)| n.contains(self.to.ip())) {
            return Some(own);
        }
        let mut leading_out = places.filter(|(_, n)| !n.internal);
        leading_out.next().filter(|_| leading_out.next().is_none())
    }

    /// The first packet of the connection, as far as it is known.
    pub fn packet(&self) -> Option<Packet> {
        let (place, network) = self.place()?;
        let source = if self.to.is_ipv4() { place.address? } else { place.address6? };
        let bridge = network.interface()?;
        let output = matches!(self.way, Way::Bridge(..)).then(|| bridge.clone());
        Some(Packet::first(source, self.to.ip(), self.to.port()).by(Some(bridge), output))
    }

    /// Whether nothing at all came back. A firewall that rejects says so at once.
    pub fn is_silent(&self) -> bool {
        self.seen.signature() == Some(Signature::ConnTimeout)
    }

    /// The same connection, made from the engine's host or from inside the container itself, that is answered: accepted, or, where the
    /// gateway gets no answer at all, at least refused.
    pub fn answered_elsewhere(&self, case: &Case<'a>) -> Result<Elsewhere<'a>, Missing> {
        let probe = |from: PodRef| case.connect_to(self.to).from_container(&from);
        let mut probes: Vec<Probe> = vec![probe(PodRef::docker_host())];
        if let Way::Bridge(_, container) = self.way {
            probes.push(probe(PodRef::of_container(container)));
        }
        let answers = match case.ask_all(probes) {
            Err(Missing::Fact(_)) => return Ok(Elsewhere::Unknown),
            answers => answers?,
        };
        let is_answer = |o: &&&Observation| match o.signature() {
            None => true,
            Some(signature) => signature == Signature::Refused && self.is_silent(),
        };
        Ok(answers.iter().find(is_answer).map_or(Elsewhere::Lost, |o| Elsewhere::Answered(o)))
    }

    /// What failed, as a line of proof.
    pub fn failing_line(&self) -> String {
        format!("{} (from {})", self.seen, self.seen.vantage)
    }

    /// Whom the packets are for, for messages.
    pub fn target(&self) -> String {
        match self.way {
            Way::Bridge(_, container) => format!("{} at {}", container.name, self.to),
            Way::Host => format!("the engine's host at {}", self.to),
            Way::Outside => self.to.to_string(),
        }
    }
}

/// What became of the same connection from elsewhere.
#[derive(Clone, Copy, Debug)]
pub enum Elsewhere<'a> {
    /// It was answered.
    Answered(&'a Observation),
    /// It was not answered there either.
    Lost,
    /// Nobody could ask.
    Unknown,
}

impl<'a> Elsewhere<'a> {
    /// The answer.
    pub fn answer(self) -> Option<&'a Observation> {
        match self {
            Elsewhere::Answered(seen) => Some(seen),
            Elsewhere::Lost | Elsewhere::Unknown => None,
        }
    }
}

//! Where Traefik's Docker provider dials a container: its rules for addresses and ports.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::startup::Docker;
use crate::evidence::config::Pick;
use crate::snapshot::objects::docker::{Attachment, Container, NetworkMode};

/// How many containers may share a network namespace one after the other.
const LONGEST_CHAIN: usize = 4;

/// What is known of the world around a container.
pub(super) struct Surroundings<'a> {
    /// Traefik's own container.
    pub gateway: &'a Container,
    /// All containers.
    pub containers: &'a [Arc<Container>],
    /// The provider.
    pub docker: &'a Docker,
}

/// The address that Traefik takes.
#[derive(Debug, Default)]
pub(super) struct Address {
    /// The address, or a name for the host's.
    pub host: String,
    /// Where it took any of several networks.
    pub pick: Option<Pick>,
    /// What is worth a note.
    pub notes: Vec<String>,
}

impl Surroundings<'_> {
    /// Address and port of a container. A written port comes before the lowest one that the container exposes.
    ///
    /// # Errors
    /// Why there is none.
    pub fn dial(&self, container: &Container, network: Option<&str>, written: Option<u16>) -> Result<(Address, u16), NoServer> {
        let port = written.or_else(|| lowest_port(container));
        if let Some((host, port)) = port.filter(|_| self.docker.uses_published).and_then(|p| published(container, p)) {
            return Ok((Address { host: host.to_string(), ..Address::default() }, port));
        }
        let address = self.address(container, network, LONGEST_CHAIN).ok_or(NoServer::Address)?;
        Ok((address, port.ok_or(NoServer::Port)?))
    }

    fn address(&self, container: &Container, network: Option<&str>, left: usize) -> Option<Address> {
        if let Some(attachment) = network.and_then(|n| container.attachment(n)) {
            return Some(Address { host: address_of(attachment)?.to_string(), ..Address::default() });
        }
        match &container.network_mode {
            NetworkMode::Host => Some(self.host()),
            NetworkMode::Container(owner) => {
                let owner = self.by_name(owner).filter(|_| left > 0)?;
                let own = label(owner, "traefik.docker.network");
                self.address(owner, own.or(network), left - 1)
            }
            _ => self.any(container, network),
        }
    }

    /// Traefik looks `host.docker.internal` up and takes its own loopback where that name is not known.
    fn host(&self) -> Address {
        const NAME: &str = "host.docker.internal";
        let known = self.gateway.extra_hosts.iter().any(|(n, _)| n.eq_ignore_ascii_case(NAME));
        if known {
            return Address { host: NAME.into(), ..Address::default() };
        }
        let note = "it lives in the host's network; Traefik dials 127.0.0.1 unless its DNS knows host.docker.internal";
        Address { host: "127.0.0.1".into(), notes: vec![note.into()], ..Address::default() }
    }

    /// Without a network that is named and there, Traefik takes any of them. Here the one that it reaches is given, and the choice is kept.
    fn any(&self, container: &Container, network: Option<&str>) -> Option<Address> {
        let owner = self.owner_of(self.gateway);
        let reached = |a: &&Attachment| owner.is_some_and(|o| o.attachment(&a.network).is_some());
        let chosen = container.attachments.iter().find(reached).or(container.attachments.first())?;
        let mut address = Address { host: address_of(chosen)?.to_string(), ..Address::default() };
        if let Some(missing) = network {
            address.notes.push(format!("it is in no network named {missing}; Traefik takes any of its networks"));
        }
        if container.attachments.len() > 1 {
            let networks: Vec<String> = container.attachments.iter().map(|a| a.network.clone()).collect();
            address.notes.push(format!("it is in several networks and Traefik is not told which to take: {}", networks.join(", ")));
            address.pick = Some(Pick { container: container.name.to_string(), networks });
        }
        Some(address)
    }

    fn owner_of<'a>(&'a self, container: &'a Container) -> Option<&'a Container> {
        match &container.network_mode {
            NetworkMode::Container(owner) => self.by_name(owner),
            _ => Some(container),
        }
    }

    fn by_name(&self, name: &str) -> Option<&Container> {
        let is = |c: &&Arc<Container>| c.name == *name || (name.len() >= 12 && c.id.starts_with(name));
        self.containers.iter().find(is).map(Arc::as_ref)
    }
}

/// Why a container gets no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoServer {
    /// It exposes no port and no label names one.
    Port,
    /// It has no address.
    Address,
}

/// A label, whatever the case of its name.
pub(super) fn label<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    container.labels.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}

/// The lowest port that is exposed or published. In the host's network, or in another container's, the engine says none.
fn lowest_port(container: &Container) -> Option<u16> {
    if matches!(container.network_mode, NetworkMode::Host | NetworkMode::Container(_)) {
        return None;
    }
    let ports: BTreeSet<u16> = container.exposed.iter().copied().chain(container.published.iter().map(|p| p.port)).collect();
    ports.first().copied()
}

fn published(container: &Container, port: u16) -> Option<(IpAddr, u16)> {
    let first = container.publications_of(port).find(|p| p.bound)?;
    (!first.host_ip.is_unspecified() && first.host_port != 0).then_some((first.host_ip, first.host_port))
}

fn address_of(attachment: &Attachment) -> Option<IpAddr> {
    attachment.address.or(attachment.address6)
}

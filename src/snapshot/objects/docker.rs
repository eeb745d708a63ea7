//! What a Docker engine declares: its containers and networks, pruned to what paths and causes read.
//!
//! Fields carry the meaning of the Docker Engine API (`GET /containers/{id}/json`, `/networks/{id}`, `/info`). One [`Host`] is one engine; it
//! is replaced as a whole, so that what is read together belongs together.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use super::{Kind, ObjectRef, Text};
use crate::evidence::config::Configuration;
use crate::evidence::firewall::Firewall;
use crate::fact::Fact;

/// One Docker engine and what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// What it is called in targets: the engine's own name, or the one that it was given.
    pub name: Text,
    /// The engine.
    pub engine: Engine,
    /// Its containers, running or not, in order of their names.
    pub containers: Vec<Arc<Container>>,
    /// Its networks, in order of their names.
    pub networks: Vec<Arc<Network>>,
    /// What the gateways among the containers are told, by the container's name.
    pub configurations: BTreeMap<String, Fact<Arc<Configuration>>>,
    /// The packet filter of the engine's host.
    pub firewall: Fact<Arc<Firewall>>,
}

/// The engine itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    /// Version of the engine, e.g. `29.1.3`.
    pub version: String,
    /// Operating system as the engine says it, e.g. `Docker Desktop`.
    pub operating_system: String,
    /// Whether it runs without root, in a network of its own.
    pub rootless: bool,
    /// Whether bridged packets pass through the packet filter (net.bridge.bridge-nf-call-iptables); nothing where it does not say.
    pub filters_bridges: Option<bool>,
    /// What it writes its rules of the packet filter with, e.g. `iptables` or `nftables` (FirewallBackend.Driver); empty where it does not say.
    pub firewall: String,
    /// Whether its host forwards IPv4 packets (net.ipv4.ip_forward); nothing where it does not say.
    pub forwards: Option<bool>,
    /// Warnings of the engine about itself.
    pub warnings: Vec<String>,
}

impl Engine {
    /// Whether containers live in a virtual machine or a user's own network, so that their addresses cannot be reached from the host.
    pub fn is_apart(&self) -> bool {
        self.rootless || self.operating_system.contains("Docker Desktop")
    }

    /// Whether its rules are in the chains of iptables; nothing where it does not say. Engines before version 29 know nothing else.
    pub fn uses_iptables(&self) -> Option<bool> {
        let major = self.version.split('.').next().and_then(|v| v.parse::<u32>().ok());
        match self.firewall.as_str() {
            "" => major.filter(|major| *major < 29).map(|_| true),
            driver => Some(driver.starts_with("iptables")),
        }
    }
}

/// A container: what it is made of and how it fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its id, 64 hexadecimal digits.
    pub id: Text,
    /// Its name, without the leading slash.
    pub name: Text,
    /// The image that it was made of, as it was written.
    pub image: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Entrypoint and command with their arguments.
    pub command: Vec<String>,
    /// Environment values that look like a port or a listen address, and those that configure a gateway; never what may be a secret.
    pub environment: Vec<(String, String)>,
    /// Its state.
    pub state: State,
    /// RestartCount
    pub restarts: i64,
    /// The main process' number on the engine's host; nothing where it does not run.
    pub pid: Option<u32>,
    /// HostConfig.NetworkMode
    pub network_mode: NetworkMode,
    /// The networks that it is attached to.
    pub attachments: Vec<Attachment>,
    /// Ports that the image or the container declares (EXPOSE), TCP only.
    pub exposed: Vec<u16>,
    /// Ports published on the host, TCP only: as asked for, whether or not they are bound now.
    pub published: Vec<Publication>,
    /// HostConfig.ExtraHosts as `(name, address)`; the address may be `host-gateway`.
    pub extra_hosts: Vec<(String, String)>,
    /// HostConfig.Links of the default bridge, and those of other networks, as `(container, alias)`: names that only this container knows.
    pub links: Vec<(String, String)>,
    /// HostConfig.Dns
    pub dns: Vec<IpAddr>,
    /// Hostname in the container.
    pub hostname: String,
    /// HostConfig.RestartPolicy.Name is not `no`.
    pub restarts_by_itself: bool,
    /// HostConfig.Memory in bytes; none without a limit.
    pub memory_limit: Option<u64>,
}

/// How a container fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// State.Status
    pub status: Status,
    /// State.OOMKilled
    pub oom_killed: bool,
    /// State.ExitCode, of the last run.
    pub exit_code: i64,
    /// State.Error: why it could not be started.
    pub error: String,
    /// State.StartedAt
    pub started: Option<Timestamp>,
    /// State.FinishedAt
    pub finished: Option<Timestamp>,
    /// State.Health; none without a health check.
    pub health: Option<Health>,
}

/// State.Status of the Docker Engine API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Status {
    /// Made and never started.
    Created,
    /// Runs.
    #[default]
    Running,
    /// Frozen.
    Paused,
    /// Ended, and about to be started again.
    Restarting,
    /// Being removed.
    Removing,
    /// Ended.
    Exited,
    /// Could not be removed.
    Dead,
}

/// State.Health
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// `starting`, `healthy` or `unhealthy`.
    pub status: String,
    /// Failures in a row.
    pub failing_streak: i64,
    /// The last check's output, cut to 300 characters.
    pub last_output: String,
    /// The command that checks.
    pub command: Vec<String>,
}

/// Which network a container lives in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// The engine's default bridge.
    #[default]
    DefaultBridge,
    /// The host's own network.
    Host,
    /// None but loopback.
    None,
    /// That of another container, by its id or name.
    Container(String),
    /// A network by its name.
    Network(String),
}

/// A container's place in one network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// The network's name.
    pub network: String,
    /// The network's id.
    pub network_id: String,
    /// Its address, while it runs.
    pub address: Option<IpAddr>,
    /// Its IPv6 address, while it runs.
    pub address6: Option<IpAddr>,
    /// The bridge's address.
    pub gateway: Option<IpAddr>,
    /// Names that the network's DNS gives it: its name, short id, aliases. Empty on the default bridge, which has none.
    pub names: Vec<String>,
}

/// A port published on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The container's port.
    pub port: u16,
    /// Address on the host; unspecified for all.
    pub host_ip: IpAddr,
    /// Port on the host; 0 where the engine picks one and has not.
    pub host_port: u16,
    /// Whether the engine says that it is bound now (NetworkSettings.Ports).
    pub bound: bool,
}

/// A network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: Text,
    /// Its id.
    pub id: String,
    /// `bridge`, `host`, `null`, `overlay`, `macvlan` …
    pub driver: String,
    /// Whether it has no way out.
    pub internal: bool,
    /// EnableIPv6
    pub ipv6: bool,
    /// IPAM.Config[].Subnet
    pub subnets: Vec<IpNet>,
    /// IPAM.Config[].Gateway
    pub gateways: Vec<IpAddr>,
    /// Driver options, e.g. `com.docker.network.bridge.enable_icc`.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// Label of the Compose project that made an object.
pub const PROJECT: &str = "com.docker.compose.project";
/// Label of the Compose service that a container belongs to.
pub const SERVICE: &str = "com.docker.compose.service";
/// Name of the engine's default bridge.
pub const DEFAULT_BRIDGE: &str = "bridge";

impl Host {
    /// A container by its name, or by its id or the beginning of it (at least 12 digits).
    pub fn container(&self, name: &str) -> Option<&Arc<Container>> {
        let is_id = |c: &&Arc<Container>| name.len() >= 12 && c.id.starts_with(name);
        self.containers.iter().find(|c| c.name == *name).or_else(|| self.containers.iter().find(is_id))
    }

    /// References of its containers or networks.
    pub fn references(&self, kind: Kind) -> Vec<ObjectRef> {
        match kind {
            Kind::Container => self.containers.iter().map(|c| c.reference()).collect(),
            Kind::Network => self.networks.iter().map(|n| n.reference()).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether packets between containers of one bridge pass the packet filter; nothing where nobody says.
    pub fn filters_bridges(&self) -> Option<bool> {
        self.firewall.known().and_then(|f| f.bridged).or(self.engine.filters_bridges)
    }

    /// A network by its name.
    pub fn network(&self, name: &str) -> Option<&Arc<Network>> {
        self.networks.iter().find(|n| n.name == *name)
    }

    /// The container whose network namespace another one lives in: its own, or the owner's; none where the owner is gone.
    pub fn netns_owner<'a>(&'a self, of: &'a Arc<Container>) -> Option<&'a Arc<Container>> {
        match &of.network_mode {
            NetworkMode::Container(owner) => self.container(owner),
            _ => Some(of),
        }
    }

    /// The container that has an address now, in any network.
    pub fn owner_of(&self, ip: IpAddr) -> Option<&Arc<Container>> {
        self.containers.iter().find(|c| c.attachments.iter().any(|a| a.has(ip)))
    }

    /// The containers that a network's DNS knows by a name, with their places in it. Those that do not run are among them: they have no
    /// address, and the DNS does not give them.
    pub fn named<'a>(&'a self, network: &'a str, name: &'a str) -> impl Iterator<Item = (&'a Arc<Container>, &'a Attachment)> {
        let places = self.containers.iter().flat_map(|c| c.attachments.iter().map(move |a| (c, a)));
        places.filter(move |(_, a)| a.network == network && a.names.iter().any(|n| n.eq_ignore_ascii_case(name)))
    }
}

impl Container {
    /// Its reference, within a host.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(Kind::Container, "", &self.name)
    }

    /// Whether its processes are there and not frozen.
    pub fn runs(&self) -> bool {
        self.state.status == Status::Running
    }

    /// The Compose project that it belongs to.
    pub fn project(&self) -> Option<&str> {
        self.labels.get(PROJECT).map(String::as_str)
    }

    /// The Compose service that it belongs to.
    pub fn service(&self) -> Option<&str> {
        self.labels.get(SERVICE).map(String::as_str)
    }

    /// Its place in a network.
    pub fn attachment(&self, network: &str) -> Option<&Attachment> {
        self.attachments.iter().find(|a| a.network == network)
    }

    /// Whether it lives in networks that have a DNS of their own: any but the default bridge.
    pub fn has_dns(&self) -> bool {
        self.attachments.iter().any(|a| a.has_dns())
    }

    /// The names of the networks that both are attached to.
    pub fn shared_networks<'a>(&'a self, other: &'a Container) -> impl Iterator<Item = &'a str> {
        let shared = self.attachments.iter().filter(|a| other.attachment(&a.network).is_some());
        shared.map(|a| a.network.as_str())
    }

    /// The value of an environment variable that is kept.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Where a port of it is published on the host.
    pub fn publications_of(&self, port: u16) -> impl Iterator<Item = &Publication> {
        self.published.iter().filter(move |p| p.port == port)
    }
}

impl Attachment {
    /// Whether an address is this place's.
    pub fn has(&self, ip: IpAddr) -> bool {
        self.address == Some(ip) || self.address6 == Some(ip)
    }

    /// Whether the network has a DNS of its own.
    pub fn has_dns(&self) -> bool {
        !matches!(self.network.as_str(), DEFAULT_BRIDGE | "host" | "none")
    }
}

impl Publication {
    /// Where it listens on the host.
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.host_ip, self.host_port)
    }
}

impl Network {
    /// Its reference, within a host.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(Kind::Network, "", &self.name)
    }

    /// Whether containers of it may talk to each other (com.docker.network.bridge.enable_icc).
    pub fn lets_containers_talk(&self) -> bool {
        self.options.get("com.docker.network.bridge.enable_icc").is_none_or(|v| v != "false")
    }

    /// The bridge's interface on the engine's host (com.docker.network.bridge.name, else `br-` and the id's first 12 digits).
    pub fn interface(&self) -> Option<String> {
        let named = self.options.get("com.docker.network.bridge.name").cloned();
        let is_bridge = self.driver == "bridge";
        named.or_else(|| Some(format!("br-{}", self.id.get(..12)?))).filter(|_| is_bridge)
    }

    /// Whether an address is of its subnets.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.subnets.iter().any(|s| s.contains(&ip))
    }
}

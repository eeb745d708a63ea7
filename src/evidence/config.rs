//! What a gateway is told by its configuration: where it listens, and which requests it sends where. Pure.
//!
//! One parser for each gateway, all to one type. What a parser does not understand it says with file and line, and never guesses.

mod apache;
mod arguments;
mod caddy;
mod condition;
mod directive;
mod envoy;
mod haproxy;
mod labelled;
mod limits;
mod nginx;
mod notes;
mod sources;
mod text;
mod traefik;
mod tree;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::probe::Scheme;
use crate::snapshot::objects::PathType;
pub use sources::{paths_to_read, program, read};
pub use text::size;

/// A gateway's configuration, as far as it was understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Where it listens for clients.
    pub listeners: Vec<Listener>,
    /// The requests that it sends on, in the order of the configuration.
    pub routes: Vec<ConfiguredRoute>,
    /// Containers that say that they want to be served and are not, where labels of containers make the routes (Traefik).
    pub left_out: Vec<LeftOut>,
    /// Containers in several networks of which the gateway takes any.
    pub picks: Vec<Pick>,
    /// What could not be understood or read.
    pub notes: Vec<Note>,
}

/// A container that a gateway passes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub container: String,
    /// Why.
    pub why: Omission,
    /// The services that it makes, by the names of upstreams: those without servers have none for this reason.
    pub services: Vec<String>,
}

/// Why a gateway passes a container over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum Omission {
    /// Its health check fails.
    #[strum(serialize = "unhealthy")]
    Unhealthy,
    /// Its health check has not passed yet.
    #[strum(serialize = "its health check has not passed yet")]
    Starting,
    /// It does not run.
    #[strum(serialize = "it does not run")]
    NotRunning,
    /// Containers are not served unless a label says so, or a label says that it is not.
    #[strum(serialize = "it is not enabled")]
    NotEnabled,
    /// Its labels are not those that the gateway asks for.
    #[strum(serialize = "its labels do not meet the constraints")]
    Constraints,
    /// Whether its labels are those that the gateway asks for is not known.
    #[strum(serialize = "whether its labels meet the constraints is not known")]
    ConstraintsUnknown,
    /// It exposes no port and no label names one.
    #[strum(serialize = "its port is not known")]
    NoPort,
    /// It has no address that the gateway may take.
    #[strum(serialize = "it has no address")]
    NoAddress,
    /// Its labels are wrong.
    #[strum(serialize = "its labels are wrong")]
    Labels,
}

/// A container in several networks, of which a gateway takes any: its servers stand in one that the gateway reaches, where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Its name.
    pub container: String,
    /// The networks, as they may be taken.
    pub networks: Vec<String>,
}

/// A port that a gateway opens for clients.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listener {
    /// Name, where the software names it (Traefik's entry points).
    pub name: Option<String>,
    /// The address that it binds; unspecified for all.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// Requests that are sent to one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredRoute {
    /// Where the upstream is named.
    pub place: Place,
    /// The listeners that it is served at.
    pub listeners: Vec<Listener>,
    /// The host that it is for, possibly with a leading `*.`; none for any.
    pub host: Option<String>,
    /// The path as written.
    pub path: String,
    /// How the path is matched.
    pub path_type: PathType,
    /// What is to get a certificate for the host, where the configuration says that somebody is (Traefik's certificate resolvers).
    pub resolver: Option<String>,
    /// Where the requests go.
    pub upstream: Upstream,
}

/// Where a gateway sends requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name, where the configuration gives it one (nginx `upstream`, HAProxy `backend`, Traefik service, Envoy cluster).
    pub name: Option<String>,
    /// What is spoken to it.
    pub scheme: Scheme,
    /// The servers, each as written.
    pub servers: Vec<Server>,
    /// When names are looked up.
    pub lookup: Lookup,
    /// The Host header that it gets, where it is not the client's: a fixed text, or the server's own name and port (nginx' default).
    pub host_header: HostHeader,
    /// What becomes of the path: the text in front of the rest of it after the route's own path is taken away; none where the path is kept.
    pub path_prefix: Option<String>,
    /// The server name sent in TLS, where it is fixed.
    pub server_name: Option<String>,
    /// Whether its certificate is checked.
    pub verifies: bool,
    /// How long it may be silent, where the configuration says so.
    pub read_timeout: Option<Duration>,
    /// Bytes of a response's head that are taken at most, where the configuration says so and such lines of it are read (nginx, HAProxy).
    pub largest_head: Option<usize>,
}

/// When a gateway looks up the names of its servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lookup {
    /// Once, when it starts or reloads: it keeps the addresses, and without one it may not start.
    AtStart,
    /// Again and again while it runs.
    #[default]
    WhileRunning,
    /// It is given addresses, by labels or by an API.
    Given,
}

/// The Host header that an upstream gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostHeader {
    /// The one that the client sent.
    #[default]
    Client,
    /// The upstream as the configuration writes it.
    Upstream,
    /// A fixed one.
    Fixed(String),
}

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Name or address as written.
    pub host: String,
    /// Its port, written or by the scheme's default.
    pub port: u16,
    /// Whether it is used only where the others fail.
    pub backup: bool,
    /// Where it is named.
    pub place: Place,
    /// The container that it was taken from, where labels of that container make it (Traefik).
    pub container: Option<String>,
}

/// A place in a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file in the container, or what stands for one: `label traefik.http…`, `argument 3`, `environment TRAEFIK_…`.
    pub file: String,
    /// The line, from 1; 0 where there are no lines.
    pub line: usize,
}

/// What could not be understood or read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub place: Place,
    /// What, in a few words.
    pub text: String,
}

/// Text files of a container, by their absolute paths. Links are resolved, so that a file may be there under several names.
pub type Files = BTreeMap<String, String>;

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line == 0 { write!(f, "{}", self.file) } else { write!(f, "{}:{}", self.file, self.line) }
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

impl ConfiguredRoute {
    /// Every request to a gateway of which nothing is known but that it is one.
    pub fn untold() -> Self {
        ConfiguredRoute {
            place: Place::default(),
            listeners: Vec::new(),
            host: None,
            path: "/".into(),
            path_type: PathType::Prefix,
            resolver: None,
            upstream: Upstream::untold(),
        }
    }
}

impl Upstream {
    /// One of which nothing is told yet, its servers neither.
    pub fn untold() -> Self {
        Upstream {
            name: None,
            scheme: Scheme::Http,
            servers: Vec::new(),
            lookup: Lookup::default(),
            host_header: HostHeader::default(),
            path_prefix: None,
            server_name: None,
            verifies: false,
            read_timeout: None,
            largest_head: None,
        }
    }
}

impl Listener {
    /// A listener on every address.
    pub fn on(port: u16, tls: bool) -> Self {
        Listener { name: None, address: IpAddr::from([0, 0, 0, 0]), port, tls }
    }
}

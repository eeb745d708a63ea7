//! What is asked.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::PodRef;
use crate::snapshot::objects::Pod;

/// A question put to the network. Equal probes have equal answers within one diagnosis, so `attempt` tells repeats apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Probe {
    /// What is asked.
    pub question: Question,
    /// 0 for the first time, counted up when the same thing is asked again.
    pub attempt: u8,
    /// Limit for the whole question.
    pub timeout: Duration,
    /// The pod from whose inside it is asked; none leaves that to the vantage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Arc<PodRef>>,
}

/// Default limit of a probe.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// What is asked of the network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Question {
    /// Resolve a name (A and AAAA) as a fully qualified name.
    Resolve {
        /// The name, with or without a trailing dot.
        name: String,
        /// The server to ask; none means this vantage's own resolv.conf, first server that answers.
        server: Option<SocketAddr>,
    },
    /// Open a TCP connection and close it.
    Connect {
        /// Where to.
        to: SocketAddr,
    },
    /// Connect and do a TLS handshake that records and never trusts.
    Handshake {
        /// Where to.
        to: SocketAddr,
        /// Server name sent; none sends no SNI.
        server_name: Option<String>,
        /// ALPN offered, e.g. `h2`, `http/1.1`; empty offers none.
        alpn: Vec<String>,
    },
    /// Connect and send one request; read the response head and up to 64 KiB of its body.
    Request(Arc<Request>),
    /// Find the largest packet that an address answers, with echoes that may not be fragmented: at most 12 of at most 9,000 bytes.
    Size {
        /// Where to.
        to: IpAddr,
    },
    /// Look into a pod: its sockets, processes and limits. Sends nothing.
    Look(PodRef),
    /// Read the last lines of a container's log (at most 200 lines of 1,000 characters, of the last ten minutes). Sends nothing.
    Log(PodRef),
}

/// One HTTP request on a fresh connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Request {
    /// Where to.
    pub to: SocketAddr,
    /// Plain or TLS, and the version of HTTP spoken.
    pub scheme: Scheme,
    /// Server name of the TLS handshake; ignored for plain schemes.
    pub server_name: Option<String>,
    /// GET, HEAD or OPTIONS.
    pub method: Method,
    /// Host header (or :authority).
    pub host: String,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

/// How HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, Serialize, Deserialize)]
pub enum Scheme {
    /// HTTP/1.1 in plain text.
    #[strum(serialize = "http")]
    Http,
    /// HTTP/1.1 in TLS.
    #[strum(serialize = "https")]
    Https,
    /// HTTP/2 in plain text with prior knowledge.
    #[strum(serialize = "h2c")]
    H2c,
    /// HTTP/2 in TLS.
    #[strum(serialize = "h2")]
    H2,
}

impl Scheme {
    /// Whether the connection is encrypted.
    pub fn is_tls(self) -> bool {
        matches!(self, Scheme::Https | Scheme::H2)
    }
}

/// Methods that a probe may use: none that changes anything (RFC 9110 §9.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::EnumString, Serialize, Deserialize)]
pub enum Method {
    /// GET
    #[default]
    #[strum(serialize = "GET")]
    Get,
    /// HEAD
    #[strum(serialize = "HEAD")]
    Head,
    /// OPTIONS
    #[strum(serialize = "OPTIONS")]
    Options,
}

impl Probe {
    /// A first attempt with the default limit.
    pub fn new(question: Question) -> Self {
        Probe { question, attempt: 0, timeout: DEFAULT_TIMEOUT, from: None }
    }

    /// A TCP connect.
    pub fn connect(to: SocketAddr) -> Self {
        Probe::new(Question::Connect { to })
    }

    /// The same probe with another attempt number.
    #[must_use]
    pub fn again(&self, attempt: u8) -> Self {
        Probe { attempt, ..self.clone() }
    }

    /// The same probe, asked from inside a pod.
    #[must_use]
    pub fn from_inside(self, pod: &Pod) -> Self {
        Probe { from: Some(Arc::new(PodRef::of(pod))), ..self }
    }

    /// The same probe, asked from inside a container.
    #[must_use]
    pub fn from_container(self, container: &PodRef) -> Self {
        Probe { from: Some(Arc::new(container.clone())), ..self }
    }

    /// The request, to be changed; nothing where something else is asked.
    pub fn request_mut(&mut self) -> Option<&mut Request> {
        match &mut self.question {
            Question::Request(request) => Some(Arc::make_mut(request)),
            Question::Resolve { .. }
            | Question::Connect { .. }
            | Question::Handshake { .. }
            | Question::Size { .. }
            | Question::Look(_)
            | Question::Log(_) => None,
        }
    }

    /// Where it goes (an echo has no port: 0); nothing for a look-up by the vantage's own resolver, and for what sends nothing.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.question {
            Question::Resolve { server, .. } => *server,
            Question::Connect { to } | Question::Handshake { to, .. } => Some(*to),
            Question::Request(request) => Some(request.to),
            Question::Size { to } => Some(SocketAddr::new(*to, 0)),
            Question::Look(_) | Question::Log(_) => None,
        }
    }
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.question {
            Question::Resolve { name, server: None } => write!(f, "resolve {name}"),
            Question::Resolve { name, server: Some(server) } => write!(f, "resolve {name} at {server}"),
            Question::Connect { to } => write!(f, "connect {to}"),
            Question::Handshake { to, server_name, .. } => {
                write!(f, "TLS handshake with {to}")?;
                server_name.as_ref().map_or(Ok(()), |name| write!(f, " for {name}"))
            }
            Question::Request(r) => {
                write!(f, "{} {}://{}{}", r.method, r.scheme, r.to, r.path)?;
                if r.host.is_empty() { Ok(()) } else { write!(f, " (Host: {})", r.host) }
            }
            Question::Size { to } => write!(f, "packets to {to}"),
            Question::Log(container) => write!(f, "log of {container}"),
            Question::Look(pod) => write!(f, "look into {pod}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_names_no_pod_is_written_as_before() {
        let probe = Probe::connect(([10, 0, 0, 7], 80).into());
        let text = serde_json::to_string(&probe).unwrap();
        assert!(!text.contains("from"), "{text}");
        assert_eq!(serde_json::from_str::<Probe>(&text).unwrap(), probe);
        let named = probe.clone().from_inside(&Pod::default());
        assert_eq!(serde_json::from_str::<Probe>(&serde_json::to_string(&named).unwrap()).unwrap(), named);
        assert_ne!(named, probe, "another question");
    }
}

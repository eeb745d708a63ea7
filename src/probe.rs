//! Questions put to the network, and the closed set of what may be seen.
//!
//! A [`Probe`] is a question, an [`Observation`] its answer from one vantage at one time. Types here are pure data; the
//! submodules ask (I/O) and are called by a vantage only.

pub mod dns;
pub mod head;
pub mod http;
pub mod io;
#[cfg(target_os = "linux")]
pub mod mtu;
mod pod;
mod signature;
pub mod tcp;
pub mod tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::evidence::inside::Inside;
use crate::snapshot::objects::Pod;
pub use head::{Head, HeadError, HeadFault};
pub use pod::PodRef;
pub use signature::Signature;

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

/// A probe's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// What was asked.
    pub probe: Probe,
    /// Where from, as a person reads it: `this process`, `pod traefik/traefik-x`.
    pub vantage: String,
    /// When it was asked.
    pub at: Timestamp,
    /// How long it took to the outcome.
    pub took: Duration,
    /// What came.
    pub outcome: Outcome,
}

/// What came of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A name resolved to these addresses (never empty).
    Resolved(Vec<IpAddr>),
    /// A name did not resolve.
    NotResolved(DnsFailure),
    /// A connection was accepted.
    Connected,
    /// A TLS handshake ended well; the certificate was recorded, not judged.
    TlsEstablished(Box<TlsFacts>),
    /// An HTTP response came, of whatever status.
    Response(Box<Response>),
    /// The wire failed in one of the closed ways.
    Broken {
        /// How.
        signature: Signature,
        /// The particulars in a few words, e.g. `TLS alert 112 (unrecognized name)`.
        detail: String,
        /// The first bytes that came, if any (at most 64), for what spoke another protocol; of a malformed HTTP head up to 64 KiB.
        first_bytes: Vec<u8>,
    },
    /// Packets of several sizes were sent.
    Measured(PathSize),
    /// A pod was looked into.
    Seen(Box<Inside>),
    /// The lines of a log, the oldest first; possibly none.
    Logged(Vec<LogLine>),
    /// The probe was not sent: not allowed, over budget, or this vantage could not. Says nothing about the network.
    NotSent(String),
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written, as the engine says.
    pub at: Option<Timestamp>,
    /// The line, escaped and cut.
    pub text: String,
}

/// How large packets to an address may be, in bytes with their IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathSize {
    /// The size that the sender goes by: its interface's, or less where the network told it so; at most 9,000.
    pub assumed: u16,
    /// The largest size of which an echo came back, to a few bytes; none where none did, which says nothing of sizes.
    pub passes: Option<u16>,
}

impl PathSize {
    /// The size that passes, where larger packets that the sender takes for good are lost without a word.
    pub fn swallows_above(&self) -> Option<u16> {
        self.passes.filter(|passes| *passes < self.assumed)
    }
}

/// How a name failed to resolve. Time-out means the path, NXDOMAIN means the name; never merge the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, Serialize, Deserialize)]
pub enum DnsFailure {
    /// The name does not exist (RFC 1035 RCODE 3).
    #[strum(serialize = "NXDOMAIN")]
    NxDomain,
    /// The name exists and has no address (RFC 2308 NODATA).
    #[strum(serialize = "no data")]
    NoData,
    /// The server failed (RCODE 2).
    #[strum(serialize = "SERVFAIL")]
    ServFail,
    /// The server refused (RCODE 5).
    #[strum(serialize = "REFUSED by the DNS server")]
    Refused,
    /// No server answered in time.
    #[strum(serialize = "no answer in time")]
    Timeout,
    /// No server could be reached at all.
    #[strum(serialize = "DNS server unreachable")]
    Unreachable,
    /// The text is no DNS name (a URL, an address with a port, a label too long …).
    #[strum(serialize = "not a DNS name")]
    InvalidName,
}

/// How the particulars of a broken connection end where the server had asked for a client certificate and got none.
pub const CERTIFICATE_WANTED: &str = ", after the server asked for a client certificate";

/// What a TLS handshake showed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFacts {
    /// Protocol version, e.g. `TLSv1.3`.
    pub version: String,
    /// ALPN chosen.
    pub alpn: Option<String>,
    /// Whether the server asked for a client certificate.
    pub client_certificate_requested: bool,
    /// The leaf certificate, if it could be parsed.
    pub certificate: Option<Certificate>,
}

/// What matters of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Subject common name.
    pub common_name: Option<String>,
    /// DNS and IP names of the subject alternative name.
    pub names: Vec<String>,
    /// Issuer as text.
    pub issuer: String,
    /// Whether issuer and subject are the same.
    pub self_signed: bool,
    /// Start of its validity.
    pub not_before: Option<Timestamp>,
    /// End of its validity.
    pub not_after: Option<Timestamp>,
}

impl Certificate {
    /// Whether a host is covered by the names (RFC 6125 §6.4: one left-most wildcard label; the common name does not count).
    pub fn covers(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.names.iter().any(|name| {
            let name = name.to_ascii_lowercase();
            match name.strip_prefix("*.") {
                Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
                None => name == host,
            }
        })
    }
}

/// An HTTP response, cut to what judging needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// HTTP version, e.g. `HTTP/1.1`.
    pub version: String,
    /// Headers, names in lower case, values escaped; at most 64 of 512 bytes.
    pub headers: Vec<(String, String)>,
    /// Start of the body as text (at most 512 characters, escaped), for fingerprints; never stored in a resource.
    pub body_start: String,
    /// A hash of the first 64 KiB of the body.
    pub body_hash: u64,
    /// Bytes of body read (at most 64 KiB).
    pub body_length: usize,
    /// Whether the body was cut instead of ending as announced. One that is longer or slower than a probe waits for is not.
    pub body_cut: bool,
    /// Whether it was cut because its chunks are malformed, and not by the end of the connection.
    pub chunks_malformed: bool,
    /// How big the head is, and what is wrong with it.
    pub head: Head,
    /// Facts of the TLS connection, if it was one.
    pub tls: Option<TlsFacts>,
}

impl Response {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
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

impl Observation {
    /// Of a probe that was not sent, for this reason.
    pub fn not_sent(probe: Probe, vantage: String, at: Timestamp, why: String) -> Self {
        Observation { probe, vantage, at, took: Duration::ZERO, outcome: Outcome::NotSent(why) }
    }

    /// How the wire failed; nothing where the question was answered. A status of 500 and above is RELAYED.
    pub fn signature(&self) -> Option<Signature> {
        match &self.outcome {
            Outcome::Resolved(_) | Outcome::Connected | Outcome::TlsEstablished(_) => None,
            Outcome::Measured(_) | Outcome::Seen(_) | Outcome::Logged(_) | Outcome::NotSent(_) => None,
            Outcome::NotResolved(_) => Some(Signature::DnsFail),
            Outcome::Response(r) if r.status >= 500 => Some(Signature::Relayed),
            Outcome::Response(r) if r.body_cut => Some(Signature::BodyCut),
            Outcome::Response(_) => None,
            Outcome::Broken { signature, .. } => Some(*signature),
        }
    }

    /// Whether the server asked for a client certificate, whatever came of it.
    pub fn wants_client_certificate(&self) -> bool {
        match &self.outcome {
            Outcome::TlsEstablished(facts) => facts.client_certificate_requested,
            Outcome::Response(response) => response.tls.as_ref().is_some_and(|t| t.client_certificate_requested),
            Outcome::Broken { detail, .. } => detail.ends_with(CERTIFICATE_WANTED),
            _ => false,
        }
    }

    /// What is wrong with the head of the response, if one came.
    pub fn head_faults(&self) -> Vec<HeadError> {
        match &self.outcome {
            Outcome::Response(response) => response.head.faults.clone(),
            Outcome::Broken { signature: Signature::HdrBad, first_bytes, .. } if first_bytes.starts_with(b"HTTP/") => {
                head::faults(first_bytes)
            }
            _ => Vec::new(),
        }
    }

    /// The response, if one came.
    pub fn response(&self) -> Option<&Response> {
        match &self.outcome {
            Outcome::Response(response) => Some(response),
            _ => None,
        }
    }

    /// What came, in a few words and without times, so that it stays the same while the fault does.
    pub fn outcome_text(&self) -> String {
        match &self.outcome {
            Outcome::Resolved(ips) => ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            Outcome::NotResolved(failure) => failure.to_string(),
            Outcome::Connected => "connected".into(),
            Outcome::TlsEstablished(tls) => match tls.certificate.as_ref().and_then(|c| c.common_name.as_ref()) {
                Some(name) => format!("{} with the certificate of {name}", tls.version),
                None => tls.version.clone(),
            },
            Outcome::Response(r) if r.body_cut => format!("{}, then the body was cut", r.status),
            Outcome::Response(r) => r.status.to_string(),
            Outcome::Broken { signature, detail, .. } if detail.is_empty() => signature.plain_words().into(),
            Outcome::Broken { detail, .. } => detail.clone(),
            Outcome::Measured(PathSize { passes: None, .. }) => "no echo comes back".into(),
            Outcome::Measured(PathSize { assumed, passes: Some(passes) }) if passes >= assumed => {
                format!("all up to {passes} bytes come back")
            }
            Outcome::Measured(PathSize { assumed, passes: Some(passes) }) => {
                format!("those up to {passes} bytes come back, larger ones up to {assumed} do not")
            }
            Outcome::Seen(inside) => inside.listening_text(),
            Outcome::Logged(lines) => format!("{} lines", lines.len()),
            Outcome::NotSent(why) => format!("not sent: {why}"),
        }
    }
}

/// As one line of proof: `GET http://10.244.1.7:8088/ → connection refused`.
impl std::fmt::Display for Observation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} → {}", self.probe, self.outcome_text())
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

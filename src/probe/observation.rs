//! What was seen.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::head::{self, HeadError};
use super::response::{CERTIFICATE_WANTED, Response, TlsFacts};
use super::{Probe, Signature};
use crate::evidence::inside::Inside;

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

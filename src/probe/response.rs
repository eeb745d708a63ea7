//! What an answer shows: its certificate, its head, and the start of its body.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Head;

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

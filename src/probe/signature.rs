//! The closed set of what may happen on the wire.

use serde::{Deserialize, Serialize};

/// What happened on the wire; the pivot between gateways. A status code is never a signature.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::EnumIter, strum::EnumString, Serialize, Deserialize,
)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
#[strum(serialize_all = "SCREAMING-KEBAB-CASE")]
pub enum Signature {
    /// RST or ICMP port unreachable to the SYN, at once.
    Refused,
    /// SYN never answered.
    ConnTimeout,
    /// ARP failure, ICMP host unreachable or prohibited.
    HostUnreach,
    /// No route from this vantage.
    NetUnreach,
    /// Accepted, request sent, FIN before the head of a response.
    EofEarly,
    /// Accepted, RST before the head of a response.
    RstEarly,
    /// Connected, then silence.
    ReadTimeout,
    /// The gateway has nobody to call.
    NoEndpoint,
    /// No rule of the gateway matched.
    NoRoute,
    /// A name did not resolve.
    DnsFail,
    /// A ClientHello met a plain-text port.
    TlsToPlain,
    /// Plain text met a TLS port.
    PlainToTls,
    /// Chain or expiry was rejected.
    TlsVerify,
    /// The certificate does not carry the expected name.
    TlsName,
    /// The peer aborted the handshake.
    TlsAlert,
    /// Response headers over the limit.
    HdrBig,
    /// What came is not a well-formed response head: a malformed header, or another protocol.
    HdrBad,
    /// Cut after the status line.
    BodyCut,
    /// HTTP/2 was spoken to an HTTP/1 server.
    #[strum(serialize = "H2-TO-H1")]
    #[serde(rename = "H2-TO-H1")]
    H2ToH1,
    /// HTTP/1 was spoken to an HTTP/2-only server.
    #[strum(serialize = "H1-TO-H2")]
    #[serde(rename = "H1-TO-H2")]
    H1ToH2,
    /// A request body over the limit.
    BodyBig,
    /// The backend itself answered with an error status.
    Relayed,
    /// The gateway itself is out of something.
    Overload,
    /// The client left first.
    ClientGone,
}

impl Signature {
    /// The signature in plain words.
    pub fn plain_words(self) -> &'static str {
        match self {
            Signature::Refused => "connection refused",
            Signature::ConnTimeout => "no answer to the connection attempt",
            Signature::HostUnreach => "no route to host",
            Signature::NetUnreach => "network is unreachable",
            Signature::EofEarly => "connection closed before a response",
            Signature::RstEarly => "connection reset before a response",
            Signature::ReadTimeout => "no response in time",
            Signature::NoEndpoint => "no endpoint to call",
            Signature::NoRoute => "no rule matched",
            Signature::DnsFail => "name did not resolve",
            Signature::TlsToPlain => "the port answers TLS with plain text",
            Signature::PlainToTls => "the port wants TLS",
            Signature::TlsVerify => "certificate not trusted",
            Signature::TlsName => "certificate is for another name",
            Signature::TlsAlert => "TLS handshake aborted",
            Signature::HdrBig => "response headers too big",
            Signature::HdrBad => "not an HTTP response",
            Signature::BodyCut => "response cut short",
            Signature::H2ToH1 => "the port speaks HTTP/1 only",
            Signature::H1ToH2 => "the port speaks HTTP/2 only",
            Signature::BodyBig => "request body too big",
            Signature::Relayed => "the backend answered with an error",
            Signature::Overload => "the gateway is out of resources",
            Signature::ClientGone => "the client left first",
        }
    }
}

//! The packet whose fate is asked for.

use std::net::IpAddr;

use super::Family;

/// A packet as a rule sees it. What is not known may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The interface that it came in by.
    pub input: Option<String>,
    /// The interface that it goes out by; none as well where it is for the host itself, in whose chains no rule names one.
    pub output: Option<String>,
    /// Whether it is for the host itself. What enters `INPUT` is, and what enters `FORWARD` is not.
    pub is_for_host: Option<bool>,
    /// Its source; none for any.
    pub source: Option<IpAddr>,
    /// Its destination, after what has been translated.
    pub destination: IpAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// The port that it goes to.
    pub port: u16,
    /// What connection tracking takes it for.
    pub state: State,
}

/// Protocols that probes speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

/// States of connection tracking that probes' packets have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The first packet of a connection.
    New,
    /// A later one, or an answer.
    Established,
}

impl Packet {
    /// The first packet of a TCP connection; no interface is known.
    pub fn first(source: impl Into<Option<IpAddr>>, destination: IpAddr, port: u16) -> Self {
        let source = source.into();
        Packet { input: None, output: None, is_for_host: None, source, destination, protocol: Protocol::Tcp, port, state: State::New }
    }

    /// The same packet, by these interfaces.
    #[must_use]
    pub fn by(self, input: Option<String>, output: Option<String>) -> Self {
        Packet { input, output, ..self }
    }

    /// The same packet, as it enters this chain.
    pub(super) fn entering(&self, chain: &str) -> Self {
        let is_for_host = match chain {
            "INPUT" => Some(true),
            "FORWARD" => Some(false),
            _ => self.is_for_host,
        };
        Packet { is_for_host, ..self.clone() }
    }

    /// Whose chains it passes.
    pub fn family(&self) -> Family {
        if self.destination.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

impl Protocol {
    /// Whether this is it, as iptables writes a protocol.
    pub fn is(self, text: &str) -> bool {
        match self {
            Protocol::Tcp => matches!(text, "tcp" | "6" | "all" | "0"),
            Protocol::Udp => matches!(text, "udp" | "17" | "all" | "0"),
        }
    }
}

impl State {
    /// Its name in rules.
    pub fn name(self) -> &'static str {
        match self {
            State::New => "NEW",
            State::Established => "ESTABLISHED",
        }
    }
}

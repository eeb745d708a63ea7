//! What agents and controller say to each other, and how: one bidirectional stream of JSON messages over gRPC in TLS.
//!
//! Agents dial. Either end sends HTTP/2 pings, so that a peer that is gone is noticed although nothing is said.

pub mod codec;
pub mod message;

use std::time::Duration;

pub use codec::Frames;
pub use message::{FromAgent, ToAgent, Token, encode};

/// Version of the messages. Either end refuses another.
pub const VERSION: u32 = 1;
/// The gRPC method of the stream.
pub const METHOD: &str = "/culprit.v1.Agents/Session";
/// Bytes of one message at most.
pub const MESSAGE_LIMIT: usize = 1 << 20;
/// Audience of the agents' ServiceAccount tokens.
pub const AUDIENCE: &str = "culprit.dev";
/// Name of the controller's Service for agents; of the agents' namespace, too, where nothing else is said.
pub const SERVICE: &str = "culprit-agents";
/// The port of that Service.
pub const PORT: u16 = 8443;
/// Time between pings.
pub const PING: Duration = Duration::from_secs(10);
/// How long the answer to a ping is waited for before the peer counts as gone.
pub const PONG: Duration = Duration::from_secs(5);
/// Requests that one controller has under way at one agent at most.
pub const IN_FLIGHT: usize = 256;
/// The longest probe that an agent sends.
pub const LONGEST_PROBE: Duration = Duration::from_secs(30);

/// The name that the controller's certificate carries.
pub fn server_name(namespace: &str) -> String {
    format!("{SERVICE}.{namespace}.svc")
}

/// How long a probe may take from question to answer: what a vantage allows beyond the probe's own limit, and a second for the way.
pub fn deadline_of(timeout: Duration) -> Duration {
    timeout + timeout / 4 + Duration::from_secs(1)
}

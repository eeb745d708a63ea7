//! Connect and close.

use std::net::SocketAddr;

use super::{Outcome, io};

/// Whether a port accepts connections.
pub async fn connect(to: SocketAddr) -> Outcome {
    match io::connect(to).await {
        Ok(_) => Outcome::Connected,
        Err(outcome) => outcome,
    }
}

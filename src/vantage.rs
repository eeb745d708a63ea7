//! Where probes are sent from.
//!
//! The one seam between the engine and the network: the engine plans probes, a [`Vantage`] sends them.

pub mod local;
pub mod scripted;

use futures::future::BoxFuture;

use crate::probe::{Observation, Probe};

/// A place that probes are sent from.
pub trait Vantage: Send + Sync {
    /// The place as a person reads it: `this process on node1`, `pod traefik/traefik-x`.
    fn name(&self) -> &str;

    /// Sends one probe. Never fails: what could not be sent is an observation that says so.
    fn ask<'a>(&'a self, probe: &'a Probe) -> BoxFuture<'a, Observation>;
}

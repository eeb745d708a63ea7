//! The agent: runs probes and reads for the controller from inside the pods of its own node.
//!
//! ```text
//! names ──► run ──► one session for each controller replica ──► rules, budget ──► Works
//! ```
//!
//! It dials every replica, so that whichever leads can ask it at once, and listens on nothing but a port that accepts and closes, for other
//! nodes to see whether they reach this one. What it runs is a closed set.

pub mod budget;
pub mod echo;
pub mod names;
pub mod rules;
pub mod run;
pub mod session;

use futures::future::BoxFuture;

use crate::probe::{Observation, PodRef, Probe};
#[cfg(target_os = "linux")]
use crate::vantage::inside::Pods;

/// What answers a request from inside a pod of this node.
pub trait Works: Send + Sync {
    /// Sends one probe. Never fails: what could not be sent, as where the pod is not on this node, is an observation that says so.
    fn ask<'a>(&'a self, pod: &'a PodRef, probe: &'a Probe) -> BoxFuture<'a, Observation>;
}

#[cfg(target_os = "linux")]
impl Works for Pods {
    fn ask<'a>(&'a self, pod: &'a PodRef, probe: &'a Probe) -> BoxFuture<'a, Observation> {
        Box::pin(Pods::ask(self, pod, probe))
    }
}

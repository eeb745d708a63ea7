//! Culprit says why a gateway answers 502, with proof.
//!
//! ```text
//! Snapshot ──► Path ──► Plan of probes ──► Observations ──► Findings ──► Diagnosis
//! (declared)   (resolved)                  (measured)        (judged)     (reported)
//! ```
//!
//! Everything between `Snapshot` and `Diagnosis` is free of I/O; probes go through [`vantage::Vantage`].

pub mod agent;
pub mod api;
pub mod causes;
pub mod cli;
pub mod connectivity;
pub mod controller;
pub mod diagnose;
pub mod engines;
pub mod evidence;
pub mod fact;
pub mod metrics;
pub mod path;
pub mod probe;
pub mod queue;
pub mod report;
pub mod snapshot;
pub mod stream;
pub mod vantage;

/// The image of this version, as `make image` names it.
pub const IMAGE: &str = concat!("localhost/culprit:", env!("CARGO_PKG_VERSION"));

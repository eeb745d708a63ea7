//! A Docker engine as a source: what its API gives becomes one [`Host`](super::objects::docker::Host).
//!
//! `convert` is pure. Only `engine` reads from outside.

pub mod convert;

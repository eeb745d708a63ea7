//! A Docker engine as a source of a snapshot: what its API gives becomes one [`Host`](super::objects::docker::Host).
//!
//! `convert` and `assemble` are pure. Only `engine` reads from outside, but for its `archive`.

mod assemble;
pub mod convert;
pub mod engine;

pub use assemble::{Inventory, UPSTREAM, assemble, may_be_gateway};

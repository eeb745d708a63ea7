//! A Docker engine as a source of a snapshot: what its API gives becomes one [`Host`](super::objects::docker::Host).
//!
//! `convert`, `assemble` and `renew` are pure. Only `engine` reads from outside, but for its `archive`.

mod assemble;
pub mod convert;
pub mod engine;
mod renew;

pub use assemble::{Inventory, UPSTREAM, assemble, may_be_gateway};
pub use renew::Fresh;

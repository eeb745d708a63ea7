//! What stands beside the probes: fingerprints of error pages, and pods from inside; logs and changes as they come.

pub mod inside;
pub mod pages;

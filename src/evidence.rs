//! What stands beside the probes: fingerprints of error pages now; logs, sockets and changes as they come.

pub mod pages;

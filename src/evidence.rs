//! What stands beside the probes: gateways' configuration, fingerprints of error pages, pods from inside, the host's packet filter.

pub mod config;
pub mod firewall;
pub mod inside;
pub mod pages;

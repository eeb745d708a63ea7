//! Nodes and namespaces.

use std::net::IpAddr;

use super::{Condition, Meta};

/// core/v1 Node
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Metadata.
    pub meta: Meta,
    /// Internal and external addresses.
    pub addresses: Vec<IpAddr>,
    /// spec.unschedulable
    pub unschedulable: bool,
    /// status.conditions
    pub conditions: Vec<Condition>,
}

/// core/v1 Namespace
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Metadata; labels matter to policies.
    pub meta: Meta,
}

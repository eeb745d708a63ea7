//! The API server as a source: conversion of its objects, lists for one-shot use, watches for the controller.

pub mod convert;
pub mod follow;
pub mod list;
mod served;
pub mod watch;
pub mod wire;

use crate::snapshot::objects::Kind;

/// The field selector of the CustomResourceDefinition that makes the API server have a kind; none for kinds that it always has.
fn definition(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::AdminNetworkPolicy => Some("metadata.name=adminnetworkpolicies.policy.networking.k8s.io"),
        Kind::BaselineAdminNetworkPolicy => Some("metadata.name=baselineadminnetworkpolicies.policy.networking.k8s.io"),
        Kind::ClusterNetworkPolicy => Some("metadata.name=clusternetworkpolicies.policy.networking.k8s.io"),
        _ => None,
    }
}

/// The part of a kind that is asked for, as a field selector; all of it where there is none.
fn fields(kind: Kind) -> Option<&'static str> {
    (kind == Kind::Event).then_some("type=Warning")
}

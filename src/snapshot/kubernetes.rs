//! The API server as a source: conversion of its objects, lists for one-shot use, watches for the controller.

pub mod convert;
pub mod follow;
pub mod list;
pub mod watch;
pub mod wire;

use crate::snapshot::objects::Kind;

/// The part of a kind that is asked for, as a field selector; all of it where there is none.
fn fields(kind: Kind) -> Option<&'static str> {
    (kind == Kind::Event).then_some("type=Warning")
}

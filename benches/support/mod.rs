//! What the benches share: worlds, a snapshot of one, and a network where all is well.
#![allow(dead_code, reason = "every bench uses its own part")]

pub mod api;
pub mod gateway;
pub mod server;
pub mod well;
pub mod workloads;
pub mod world;

use culprit::snapshot::objects::{Kind, Object};
use culprit::snapshot::{Coverage, Snapshot, files};
use strum::IntoEnumIterator;

/// An object of a world as a snapshot holds it.
pub fn object(value: serde_json::Value) -> Object {
    files::from_value(value).expect("the world's objects are well-formed").expect("the world holds no kind that a snapshot does not")
}

/// A snapshot of a whole world, every kind covered.
pub fn snapshot(size: world::Size) -> Snapshot {
    let mut snapshot = Snapshot::default();
    Kind::iter().for_each(|kind| snapshot.cover(kind, Coverage::Complete));
    snapshot.extend(world::objects(size).map(object));
    snapshot
}

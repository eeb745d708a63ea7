//! What the fixture tests share.

pub mod case;
pub mod network;

//! What the fixture tests share.

pub mod case;
pub mod dock;
pub mod inside;
pub mod network;

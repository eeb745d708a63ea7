//! What an agent does on its own node.

#[cfg(target_os = "linux")]
pub mod inside;

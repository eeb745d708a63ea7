//! The document as text, JSON, YAML and pages. Pure: everything returns a string.

pub mod causes;
pub mod document;
pub mod escape;
pub mod text;

//! Causes in the application itself.

super::group![];

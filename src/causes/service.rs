//! Causes in the Service object.

super::group![];

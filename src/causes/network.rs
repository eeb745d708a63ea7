//! Causes in DNS, policies and what carries packets.

super::group![];

//! Causes in the gateway's own configuration.

super::group![response_header_too_big];

//! Causes in the gateway's own configuration.

super::group![gateway_read_timeout_short, response_header_too_big];

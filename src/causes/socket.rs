//! Causes in the listening socket.

super::group![app_binds_loopback, app_wrong_port];

//! Causes in the gateway's own sockets, certificates and pods.

super::group![];

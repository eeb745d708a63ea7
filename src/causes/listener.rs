//! Causes in the gateway's own sockets, certificates and pods.

super::group![gateway_default_cert, gateway_pod_down];

//! Causes in the gateway's own sockets, certificates and pods.

mod certificate;

super::group![
    etp_local_no_local_endpoint,
    gateway_cert_expired,
    gateway_default_cert,
    gateway_listener_port_missing,
    gateway_pod_down,
    gateway_sni_mismatch,
    https_redirect_loop,
    lb_service_pending,
];

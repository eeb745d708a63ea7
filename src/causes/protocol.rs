//! Causes in what is spoken on the connection.

super::group![
    backend_cert_expired,
    backend_cert_name_mismatch,
    backend_cert_untrusted,
    backend_mtls_required,
    backend_plain_to_tls_pod,
    backend_sni_missing,
    backend_tls_on_gateway_plain_pod,
    cl_te_conflict_rejected,
    http1_to_h2_backend,
];

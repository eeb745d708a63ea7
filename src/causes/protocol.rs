//! Causes in what is spoken on the connection.

super::group![backend_plain_to_tls_pod, backend_tls_on_gateway_plain_pod];

//! Error pages that proxies make themselves, by their text.
//!
//! Sources: nginx `src/http/ngx_http_special_response.c`; HAProxy `src/http_htx.c` (default error files); Envoy
//! `source/common/router/router.cc`; Apache `modules/proxy/mod_proxy.c` and `modules/http/http_protocol.c`; Traefik
//! `pkg/proxy/httputil` (the status text alone) and `pkg/server/service/loadbalancer`.

use crate::path::Implementation;
use crate::probe::Response;

/// The proxy whose own error page a response is, if it is one.
pub fn error_page_of(response: &Response) -> Option<Implementation> {
    if response.status < 500 {
        return None;
    }
    let body = response.body_start.as_str();
    let server = response.header("server").unwrap_or_default().to_ascii_lowercase();
    if body.contains("<center>nginx") || body.contains("<center>openresty") {
        Some(Implementation::Nginx)
    } else if body.contains("No server is available to handle this request")
        || body.contains("The server returned an invalid or incomplete response")
    {
        Some(Implementation::Haproxy)
    } else if body.contains("upstream connect error or disconnect/reset before headers")
        || body.contains("no healthy upstream")
        || body.contains("upstream request timeout")
    {
        Some(Implementation::Envoy)
    } else if body.contains("The proxy server received an invalid")
        || (server.starts_with("apache") && body.contains("unable to service your request"))
    {
        Some(Implementation::Apache)
    } else if server == "caddy" && body.is_empty() {
        Some(Implementation::Caddy)
    } else if matches!(body.trim(), "Bad Gateway" | "Gateway Timeout" | "no available server") {
        Some(Implementation::Traefik)
    } else {
        None
    }
}

/// Whether a response is a TLS server's complaint about plain text.
///
/// Sources: Go `net/http/server.go`; nginx `ngx_http_special_response.c`; Apache `modules/ssl/ssl_engine_io.c`.
pub fn wants_tls(response: &Response) -> bool {
    let body = response.body_start.as_str();
    response.status == 400
        && (body.contains("Client sent an HTTP request to an HTTPS server")
            || body.contains("The plain HTTP request was sent to HTTPS port")
            || body.contains("speaking plain HTTP to an SSL-enabled server port"))
}

/// Whether a response is a TLS server's complaint that no client certificate came.
///
/// Source: nginx `ngx_http_special_response.c` (400 for its own codes 495 and 496).
pub fn wants_certificate(response: &Response) -> bool {
    let body = response.body_start.as_str();
    matches!(response.status, 400 | 495 | 496)
        && (body.contains("No required SSL certificate was sent") || body.contains("The SSL certificate error"))
}

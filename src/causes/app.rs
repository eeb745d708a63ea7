//! Causes in the application itself.

mod hosts;
pub(super) mod silence;

super::group![
    app_chunked_invalid,
    app_closes_connection,
    app_content_length_short,
    app_host_header_rejected,
    app_malformed_header,
    app_never_answers,
    app_not_http_on_port,
    app_redirect_loop,
    app_redirects_to_internal,
    app_returns_5xx,
    nested_gateway_502,
];

//! Causes in the application itself.

super::group![app_closes_connection, app_never_answers, app_not_http_on_port, app_returns_5xx, nested_gateway_502];

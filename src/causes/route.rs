//! Causes in the rule that matches the request.

super::group![route_backend_service_missing, route_backend_port_missing];

//! Causes in the rule that matches the request.

mod rivals;

super::group![ingress_class_missing, route_backend_port_missing, route_backend_service_missing, route_host_path_collision];

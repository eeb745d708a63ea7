//! Causes in the rule that matches the request.

mod hosts;
mod precedence;
mod rivals;
mod unserved;
mod why;

super::group![
    default_backend_broken,
    ingress_class_missing,
    route_backend_port_missing,
    route_backend_service_missing,
    route_host_mismatch,
    route_host_path_collision,
    route_path_mismatch,
    route_shadowed,
];

//! Causes that only containers of a Docker engine have.

mod dialled;
mod host;
mod lost;
mod meant;
mod refused;
mod serves;
mod state;

super::group![
    docker_alias_typo,
    docker_app_binds_loopback,
    docker_compose_project_isolation,
    docker_container_created_not_started,
    docker_container_exited,
    docker_container_oom,
    docker_container_paused,
    docker_container_restarting,
    docker_container_unhealthy,
    docker_default_bridge_no_dns,
    docker_different_networks,
    docker_gateway_exited,
    docker_host_gateway_missing,
    docker_host_service_loopback,
    docker_icc_disabled,
    docker_internal_network,
    docker_ipv6_aaaa,
    docker_multi_network_wrong_ip,
    docker_netns_owner_dead,
    docker_network_alias_collision,
    docker_port_already_allocated,
    docker_publish_loopback_only,
    docker_published_vs_container_port,
    docker_stale_ip_after_recreate,
    docker_start_order,
    docker_traefik_port_unknown,
    docker_upstream_localhost,
    docker_upstream_port_wrong,
];

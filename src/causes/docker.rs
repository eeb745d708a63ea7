//! Causes that only containers of a Docker engine have.

mod dialled;
mod filter;
mod host;
mod lost;
mod meant;
pub(super) mod refused;
mod serves;
mod state;
mod swarm;

super::group![
    docker_address_pools_exhausted,
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
    docker_embedded_dns_broken,
    docker_forward_drop,
    docker_gateway_exited,
    docker_host_firewall_blocks_bridge,
    docker_host_gateway_missing,
    docker_host_service_loopback,
    docker_icc_disabled,
    docker_internal_network,
    docker_iptables_flushed,
    docker_ipv6_aaaa,
    docker_mtu_mismatch,
    docker_multi_network_wrong_ip,
    docker_netns_owner_dead,
    docker_network_alias_collision,
    docker_port_already_allocated,
    docker_publish_loopback_only,
    docker_published_vs_container_port,
    docker_raw_drop_unpublished,
    docker_rootless_or_desktop_no_route,
    docker_stale_ip_after_recreate,
    docker_start_order,
    docker_subnet_overlap,
    docker_traefik_port_unknown,
    docker_upstream_localhost,
    docker_upstream_port_wrong,
    docker_user_chain_drop,
    docker_userland_proxy_loopback,
    swarm_no_running_task,
    swarm_overlay_ports_blocked,
    swarm_routing_mesh_ingress,
    swarm_vip_stale,
];

//! Hosts that an application may know.

use crate::causes::{Case, EndpointView};
use crate::path::dns;
use crate::snapshot::objects::{Container, ProbeAction};

/// Hosts tried at most.
const MOST: usize = 6;

/// Hosts to ask an endpoint by, those that somebody wrote down first.
pub fn likely(case: &Case<'_>, view: &EndpointView<'_>) -> Vec<String> {
    let mut found = vec!["localhost".to_owned()];
    found.extend(view.endpoint.socket().map(|to| to.to_string()));
    if let Some(service) = &case.path.route.service {
        found.extend([dns::name_of(service), service.name.to_string()]);
    }
    // What a configuration calls the container, it may call itself.
    let servers = case.path.container.iter().flat_map(|route| &route.upstream.servers);
    found.extend(servers.map(|s| s.host.clone()).filter(|host| host.parse::<std::net::IpAddr>().is_err()).take(1));
    let containers = view.endpoint.pod.known().into_iter().flat_map(|p| &p.containers);
    let told: Vec<String> = containers.flat_map(named_by).filter(|h| Some(h) != case.path.route.asked_host().as_ref()).collect();
    let mut all: Vec<String> = told.into_iter().take(MOST - found.len()).collect();
    all.extend(found);
    all.dedup();
    all
}

/// Hosts that a container's probes send, and names in those of its settings that speak of hosts.
fn named_by(container: &Container) -> impl Iterator<Item = String> {
    let probes = [&container.readiness, &container.liveness, &container.startup];
    let headers = probes.into_iter().flatten().filter_map(|p| match &p.action {
        ProbeAction::HttpGet { headers, .. } => headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, v)| v.clone()),
        _ => None,
    });
    let settings = container.env.iter().filter(|(name, _)| name.to_ascii_uppercase().contains("HOST"));
    let names = settings.flat_map(|(_, value)| value.split([',', ' ', ';']).map(|v| v.trim().trim_start_matches('.').to_owned()));
    let is_name = |n: &String| n.contains('.') && n.parse::<std::net::IpAddr>().is_err() && n.chars().all(is_name_character);
    headers.chain(names.filter(is_name)).collect::<Vec<_>>().into_iter()
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-')
}

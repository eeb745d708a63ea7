//! A container as it is inspected.

use std::collections::HashMap;

use bollard::models;
use jiff::Timestamp;

use super::publication::publications;
use super::{address, cut, filled, labels, message};
use crate::snapshot::environment;
use crate::snapshot::objects::docker::{Attachment, Container, DEFAULT_BRIDGE, Health, NetworkMode, State, Status};

/// Arguments kept of a command, and characters of each: enough for a gateway that is configured by them.
const MOST_ARGUMENTS: usize = 256;
const LONGEST_ARGUMENT: usize = 1024;
/// Environment variables kept.
const MOST_VARIABLES: usize = 256;
/// Digits of a short id, which networks' DNS knows.
const SHORT_ID: usize = 12;

/// The places of a container by the network's name.
type Places = HashMap<String, models::EndpointSettings>;

/// A container as it is inspected; none without id and name.
pub fn container(inspected: models::ContainerInspectResponse) -> Option<Container> {
    let id = filled(inspected.id)?;
    let name = filled(inspected.name)?.trim_start_matches('/').to_owned();
    let config = inspected.config.unwrap_or_default();
    let host = inspected.host_config.unwrap_or_default();
    let settings = inspected.network_settings.unwrap_or_default();
    let places = settings.networks.unwrap_or_default();
    let network_mode = network_mode(&host.network_mode.unwrap_or_default(), &places);
    let exposed = exposed(config.exposed_ports);
    let state = inspected.state.unwrap_or_default();
    let check = config.healthcheck.and_then(|h| h.test).unwrap_or_default();
    Some(Container {
        image: cut(&filled(config.image).or(inspected.image).unwrap_or_default(), LONGEST_ARGUMENT),
        labels: labels(config.labels),
        created: inspected.created.as_deref().and_then(time),
        command: command(inspected.path, inspected.args, config.entrypoint, config.cmd),
        environment: variables(config.env),
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        state: self::state(state, check),
        restarts: inspected.restart_count.unwrap_or_default(),
        published: publications(host.port_bindings, settings.ports, host.publish_all_ports.unwrap_or_default(), &exposed),
        exposed,
        extra_hosts: extra_hosts(host.extra_hosts),
        links: links(host.links, &places),
        dns: host.dns.unwrap_or_default().iter().filter_map(|server| address(server)).collect(),
        hostname: config.hostname.unwrap_or_default(),
        restarts_by_itself: restarts(host.restart_policy),
        memory_limit: host.memory.and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0),
        attachments: attachments(places, &network_mode, &name, &id),
        network_mode,
        id: id.into(),
        name: name.into(),
    })
}

/// HostConfig.NetworkMode. A network may be named by its id, or by the beginning of it.
fn network_mode(mode: &str, places: &Places) -> NetworkMode {
    match mode {
        "" | "default" | DEFAULT_BRIDGE => NetworkMode::DefaultBridge,
        "host" => NetworkMode::Host,
        "none" => NetworkMode::None,
        _ => match mode.strip_prefix("container:") {
            Some(owner) => NetworkMode::Container(owner.to_owned()),
            None => NetworkMode::Network(network_named(mode, places).to_owned()),
        },
    }
}

fn network_named<'a>(mode: &'a str, places: &'a Places) -> &'a str {
    let is_its_id = |place: &models::EndpointSettings| place.network_id.as_deref().is_some_and(|id| id.starts_with(mode));
    let by_id = || places.iter().find(|(_, place)| is_its_id(place)).map(|(name, _)| name.as_str());
    if places.contains_key(mode) { mode } else { by_id().unwrap_or(mode) }
}

/// Its places in networks, in order of their names.
fn attachments(places: Places, mode: &NetworkMode, name: &str, id: &str) -> Vec<Attachment> {
    if matches!(mode, NetworkMode::Container(_)) {
        // It lives in another one's places.
        return Vec::new();
    }
    // Podman's default network has another name, and no DNS either.
    let is_default = places.len() == 1 && *mode == NetworkMode::DefaultBridge;
    let attachment = |(network, place): (String, models::EndpointSettings)| {
        let ip = |text: &Option<String>| text.as_deref().and_then(address).filter(|ip| !ip.is_unspecified());
        let mut attachment = Attachment {
            network,
            network_id: place.network_id.clone().unwrap_or_default(),
            address: ip(&place.ip_address),
            address6: ip(&place.global_ipv6_address),
            gateway: ip(&place.gateway),
            names: Vec::new(),
        };
        if attachment.has_dns() && !is_default {
            attachment.names = dns_names(place, name, id);
        }
        attachment
    };
    let mut attachments: Vec<Attachment> = places.into_iter().map(attachment).collect();
    attachments.sort_by(|a, b| a.network.cmp(&b.network));
    attachments
}

/// The names that a network's DNS has for a container. Engines before API 1.44 tell only the aliases.
fn dns_names(place: models::EndpointSettings, name: &str, id: &str) -> Vec<String> {
    let own = || [name, id.get(..SHORT_ID).unwrap_or(id)].map(str::to_owned);
    let told = place.dns_names.filter(|names| !names.is_empty());
    let mut names = Vec::new();
    for name in told.unwrap_or_else(|| place.aliases.into_iter().flatten().chain(own()).collect()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What runs: a program and its arguments; where the engine does not say it, what is declared.
fn command(path: Option<String>, args: Option<Vec<String>>, entrypoint: Option<Vec<String>>, cmd: Option<Vec<String>>) -> Vec<String> {
    let (program, arguments) = match filled(path) {
        Some(path) => (vec![path], args),
        None => (entrypoint.unwrap_or_default(), cmd),
    };
    let whole = program.iter().chain(arguments.iter().flatten());
    whole.take(MOST_ARGUMENTS).map(|a| cut(a, LONGEST_ARGUMENT)).collect()
}

fn variables(written: Option<Vec<String>>) -> Vec<(String, String)> {
    let wanted =
        |name: &str, value: &str| environment::says_where_it_listens(name, value) || environment::may_configure_a_gateway(name, value);
    let written = written.unwrap_or_default();
    let variables = written.iter().filter_map(|v| v.split_once('=')).filter(|(name, value)| wanted(name, value));
    variables.take(MOST_VARIABLES).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn state(state: models::ContainerState, check: Vec<String>) -> State {
    let told = state.status.and_then(|s| s.to_string().parse().ok());
    let otherwise = if state.running.unwrap_or_default() { Status::Running } else { Status::Exited };
    State {
        status: told.unwrap_or(otherwise),
        oom_killed: state.oom_killed.unwrap_or_default(),
        exit_code: state.exit_code.unwrap_or_default(),
        error: message(&state.error.unwrap_or_default()),
        started: state.started_at.as_deref().and_then(time),
        finished: state.finished_at.as_deref().and_then(time),
        health: state.health.and_then(|h| health(h, &check)),
    }
}

fn health(health: models::Health, check: &[String]) -> Option<Health> {
    let status = health.status.map(|s| s.to_string()).filter(|s| !matches!(s.as_str(), "" | "none"))?;
    let last = health.log.and_then(|mut log| log.pop()).and_then(|result| result.output);
    Some(Health {
        status,
        failing_streak: health.failing_streak.unwrap_or_default(),
        last_output: message(&last.unwrap_or_default()),
        command: check.iter().take(MOST_ARGUMENTS).map(|a| cut(a, LONGEST_ARGUMENT)).collect(),
    })
}

fn exposed(ports: Option<Vec<String>>) -> Vec<u16> {
    let mut ports: Vec<u16> = ports.iter().flatten().filter_map(|p| tcp_port(p)).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The port of `80/tcp`; none for other protocols.
pub fn tcp_port(text: &str) -> Option<u16> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if protocol.eq_ignore_ascii_case("tcp") { port.parse().ok() } else { None }
}

/// `name:address`, or `name=address` as newer clients write it.
fn extra_hosts(written: Option<Vec<String>>) -> Vec<(String, String)> {
    let host = |text: &String| {
        let (name, address) = text.split_once([':', '=']).filter(|(name, address)| !name.is_empty() && !address.is_empty())?;
        Some((name.to_owned(), address.trim_matches(['[', ']']).to_owned()))
    };
    written.iter().flatten().filter_map(host).collect()
}

/// Links of the default bridge (`/db:/web/alias`) and of other networks (`db:alias`), as `(container, alias)`.
fn links(of_bridge: Option<Vec<String>>, places: &Places) -> Vec<(String, String)> {
    let of_networks = places.values().flat_map(|place| place.links.iter().flatten());
    let link = |text: &String| {
        let (container, alias) = text.split_once(':').unwrap_or((text, text));
        let last = |part: &str| part.rsplit('/').next().unwrap_or_default().to_owned();
        (last(container), last(alias))
    };
    let mut links: Vec<(String, String)> = of_bridge.iter().flatten().chain(of_networks).map(link).collect();
    links.sort();
    links.dedup();
    links
}

fn restarts(policy: Option<models::RestartPolicy>) -> bool {
    policy.and_then(|p| p.name).is_some_and(|name| !matches!(name.to_string().as_str(), "" | "no"))
}

/// A time that has not been is written as that of the year 1.
fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|t| *t > Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;

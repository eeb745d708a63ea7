//! From the Docker Engine API's models to the snapshot's types. Pure.

mod container;
mod publication;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use bollard::models;
use ipnet::IpNet;

use super::super::objects::Text;
use super::super::objects::docker::{Engine, Network};
use crate::report::escape;
pub use container::container;

/// Labels and options kept of one object, and characters of each value: enough for a gateway's rules.
const MOST_LABELS: usize = 512;
const LONGEST_LABEL: usize = 4096;
/// Characters kept of a message of the engine.
const LONGEST_MESSAGE: usize = 300;

/// A network as it is listed or inspected; none without a name.
pub fn network(network: models::Network) -> Option<Network> {
    let is_bridge = network.driver.as_deref() == Some("bridge") && !network.internal.unwrap_or_default();
    let pools = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    Some(Network {
        name: filled(network.name)?.into(),
        id: network.id.unwrap_or_default(),
        driver: network.driver.unwrap_or_default(),
        internal: network.internal.unwrap_or_default(),
        ipv6: network.enable_ipv6.unwrap_or_default(),
        subnets: pools.iter().filter_map(|p| p.subnet.as_deref()?.parse().ok()).collect(),
        gateways: pools.iter().filter_map(|p| gateway(p, is_bridge)).collect(),
        options: labels(network.options),
        labels: labels(network.labels),
    })
}

/// The address of the bridge in a pool. An engine that was just installed does not say that of its default bridge: it is the first one, as the
/// engine gives it where nobody asks for another.
fn gateway(pool: &models::IpamConfig, is_bridge: bool) -> Option<IpAddr> {
    let first = || pool.subnet.as_deref()?.parse::<IpNet>().ok()?.hosts().next();
    pool.gateway.as_deref().and_then(address).or_else(|| first().filter(|_| is_bridge))
}

/// The engine, with the name of its host.
pub fn engine(info: models::SystemInfo) -> (Text, Engine) {
    let warnings: Vec<String> = info.warnings.unwrap_or_default().iter().map(|w| message(w)).collect();
    let security = info.security_options.unwrap_or_default();
    let engine = Engine {
        version: message(&info.server_version.unwrap_or_default()),
        operating_system: message(&info.operating_system.unwrap_or_default()),
        rootless: security.iter().any(|o| o.split(',').any(|part| part == "name=rootless" || part == "rootless")),
        // An engine that can tell says so by a warning only.
        filters_bridges: warnings.iter().any(|w| w.contains("bridge-nf-call-iptables is disabled")).then_some(false),
        firewall: message(&info.firewall_backend.and_then(|f| f.driver).unwrap_or_default()),
        forwards: info.ipv4_forwarding,
        warnings,
    };
    (info.name.unwrap_or_default().into(), engine)
}

fn labels(labels: Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    let sorted: BTreeMap<String, String> = labels.unwrap_or_default().into_iter().collect();
    sorted.into_iter().take(MOST_LABELS).map(|(name, value)| (name, cut(&value, LONGEST_LABEL))).collect()
}

/// A text of one line that is safe to show.
fn message(text: &str) -> String {
    escape::line(&cut(text.trim(), LONGEST_MESSAGE))
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// The engine writes what is not there as an empty text.
fn filled(text: Option<String>) -> Option<String> {
    text.filter(|t| !t.is_empty())
}

/// An address, possibly with a prefix length or in brackets.
fn address(text: &str) -> Option<std::net::IpAddr> {
    text.split('/').next()?.trim_matches(['[', ']']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_keeps_its_subnets_and_options() {
        let listed = r#"{"Name": "shop_default", "Id": "f00d", "Driver": "bridge", "Internal": true, "EnableIPv6": false,
            "IPAM": {"Driver": "default", "Options": null, "Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}, {"Subnet": "no"}]},
            "Containers": {"abc": {"Name": "web"}}, "Options": {"com.docker.network.bridge.enable_icc": "false"}, "Labels": null}"#;
        let network = network(serde_json::from_str(listed).unwrap()).unwrap();
        assert_eq!(network.name, "shop_default");
        assert_eq!(network.subnets, ["172.18.0.0/16".parse().unwrap()]);
        assert_eq!(network.gateways, ["172.18.0.1".parse::<std::net::IpAddr>().unwrap()]);
        assert!(network.internal && !network.lets_containers_talk());
    }

    #[test]
    fn networks_without_pools_or_names_do_no_harm() {
        let host = r#"{"Name": "host", "Driver": "host", "IPAM": {"Driver": "default", "Config": null}, "Options": {}, "Labels": {}}"#;
        assert!(network(serde_json::from_str(host).unwrap()).unwrap().subnets.is_empty());
        assert_eq!(network(models::Network::default()), None);
    }

    #[test]
    fn the_engine_says_how_it_runs_and_what_it_warns_of() {
        let info = r#"{"Name": "dock", "ServerVersion": "29.1.3", "OperatingSystem": "Debian", "IPv4Forwarding": false,
            "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"],
            "Warnings": ["WARNING: bridge-nf-call-iptables is disabled\u001b[31m"]}"#;
        let (name, engine) = engine(serde_json::from_str(info).unwrap());
        assert_eq!(name, "dock");
        assert!(engine.rootless);
        assert_eq!((engine.filters_bridges, engine.forwards), (Some(false), Some(false)));
        assert!(!engine.warnings[0].contains('\u{1b}'));
    }

    #[test]
    fn an_engine_that_says_nothing_is_not_known() {
        let (_, engine) = engine(models::SystemInfo::default());
        assert_eq!((engine.filters_bridges, engine.forwards), (None, None));
        assert!(!engine.rootless);
    }
}

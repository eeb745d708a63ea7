//! Published ports: what was asked for, joined with what is bound.

use std::net::{IpAddr, Ipv4Addr};

use bollard::models::{PortBinding, PortMap};

use super::address;
use super::container::tcp_port;
use crate::snapshot::objects::docker::Publication;

/// A socket on the host that the engine says is bound.
struct Bound {
    port: u16,
    host_ip: IpAddr,
    host_port: u16,
}

/// Ports published on the host as they are asked for, with what is bound of them.
///
/// `asked` is HostConfig.PortBindings, `bound` NetworkSettings.Ports, `all` HostConfig.PublishAllPorts (Docker Engine API, ContainerInspect).
pub fn publications(asked: Option<PortMap>, bound: Option<PortMap>, all: bool, exposed: &[u16]) -> Vec<Publication> {
    let mut bound: Vec<Bound> = bindings(bound).filter_map(|(port, binding)| is_bound(port, &binding)).collect();
    let mut published: Vec<Publication> = bindings(asked).map(|(port, binding)| publication(port, &binding, &mut bound)).collect();
    if all {
        let rest: Vec<u16> = exposed.iter().copied().filter(|port| !published.iter().any(|p| p.port == *port)).collect();
        published.extend(rest.into_iter().map(|port| publication(port, &PortBinding::default(), &mut bound)));
    }
    published.sort_by_key(|p| (p.port, p.host_ip, p.host_port));
    published
}

fn bindings(map: Option<PortMap>) -> impl Iterator<Item = (u16, PortBinding)> {
    let of_port = |(port, bindings): (String, Option<Vec<PortBinding>>)| {
        let port = tcp_port(&port);
        bindings.into_iter().flatten().filter_map(move |binding| Some((port?, binding)))
    };
    map.unwrap_or_default().into_iter().flat_map(of_port)
}

fn is_bound(port: u16, binding: &PortBinding) -> Option<Bound> {
    let host_port = binding.host_port.as_deref()?.parse().ok()?;
    Some(Bound { port, host_ip: host_ip(binding), host_port })
}

/// What was asked for, with the port that the engine picked where it was free to. What is taken is not taken again.
fn publication(port: u16, asked: &PortBinding, bound: &mut Vec<Bound>) -> Publication {
    let host_ip = host_ip(asked);
    let range = range(asked.host_port.as_deref().unwrap_or_default());
    let may = |p: u16| range.is_none_or(|(from, to)| (from..=to).contains(&p));
    // Of a port on all addresses the engine writes one binding for each family.
    let is_there = |b: &Bound| b.host_ip == host_ip || (host_ip.is_unspecified() && b.host_ip.is_unspecified());
    let found = bound.iter().find(|b| b.port == port && may(b.host_port) && is_there(b)).map(|b| b.host_port);
    bound.retain(|b| !(b.port == port && Some(b.host_port) == found && is_there(b)));
    let fixed = range.filter(|(from, to)| from == to).map_or(0, |(port, _)| port);
    Publication { port, host_ip, host_port: found.unwrap_or(fixed), bound: found.is_some() }
}

fn host_ip(binding: &PortBinding) -> IpAddr {
    binding.host_ip.as_deref().and_then(address).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// The ports that the engine may take, of `8080` or `8000-8010`; none where it is free.
fn range(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
    (from != 0).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(json: &str) -> Option<PortMap> {
        serde_json::from_str(json).unwrap()
    }

    fn texts(published: &[Publication]) -> Vec<String> {
        published.iter().map(|p| format!("{}->{} {}", p.socket(), p.port, p.bound)).collect()
    }

    #[test]
    fn a_port_is_bound_where_the_engine_says_so() {
        let asked = r#"{"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8443"}], "53/udp": [{"HostPort": "53"}]}"#;
        let bound = r#"{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}], "443/tcp": null}"#;
        let published = publications(map(asked), map(bound), false, &[]);
        assert_eq!(texts(&published), ["0.0.0.0:8080->80 true", "127.0.0.1:8443->443 false"]);
        assert_eq!(texts(&publications(map(asked), None, false, &[])), ["0.0.0.0:8080->80 false", "127.0.0.1:8443->443 false"]);
    }

    #[test]
    fn a_port_that_the_engine_picks_is_what_it_picked() {
        let asked = r#"{"80/tcp": [{"HostIp": "", "HostPort": ""}], "81/tcp": [{"HostPort": "8000-8010"}]}"#;
        let bound = r#"{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}], "81/tcp": [{"HostIp": "::", "HostPort": "8003"}]}"#;
        let published = publications(map(asked), map(bound), false, &[]);
        assert_eq!(texts(&published), ["0.0.0.0:32768->80 true", "0.0.0.0:8003->81 true"]);
        assert_eq!(texts(&publications(map(asked), None, false, &[])), ["0.0.0.0:0->80 false", "0.0.0.0:0->81 false"]);
    }

    #[test]
    fn one_binding_is_not_that_of_two() {
        let asked = r#"{"80/tcp": [{"HostPort": "8080"}, {"HostPort": "8081"}]}"#;
        let bound = r#"{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8081"}]}"#;
        let published = publications(map(asked), map(bound), false, &[]);
        assert_eq!(texts(&published), ["0.0.0.0:8080->80 false", "0.0.0.0:8081->80 true"]);
    }

    #[test]
    fn every_exposed_port_may_be_published() {
        let bound = r#"{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}, {"HostIp": "::", "HostPort": "32768"}]}"#;
        assert_eq!(texts(&publications(None, map(bound), true, &[80])), ["0.0.0.0:32768->80 true"]);
        assert_eq!(texts(&publications(None, None, true, &[80])), ["0.0.0.0:0->80 false"]);
    }
}

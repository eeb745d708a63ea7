//! What to ask of one path, given what was seen. Every function is a pure function of both, so planning can be repeated.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::causes::{NO_SUCH_HOST, Observations, endpoint_request, sample};
use crate::path::{Entrance, Path};
use crate::probe::{Probe, Question, Request, Scheme};
use crate::snapshot::Snapshot;
use crate::snapshot::objects::Key;

use super::settings::Settings;

/// Limit of one probe on the walk from hop to hop, so that a silent hop costs no more.
pub const WALK_TIMEOUT: Duration = Duration::from_secs(2);
/// Gateway pods asked at most.
const ENTRANCES: usize = 3;

/// The requests that stand for the route end to end, as first attempts.
pub fn end_to_end(path: &Path, seen: &Observations, settings: &Settings) -> Vec<Probe> {
    let Some(gateway) = path.gateway.known() else { return Vec::new() };
    let has_tls = gateway.entrance(true).is_some();
    let over = |tls: bool| -> Vec<Probe> {
        let entrances = gateway.entrances.iter().filter(|e| e.tls == tls).take(ENTRANCES);
        entrances.map(|e| gateway_request(path, e, settings)).collect()
    };
    let tls = (path.route.tls && has_tls) || gateway.entrance(false).is_none();
    let first = over(tls);
    // A gateway that sends plain requests to https has shown nothing of the backend yet: the TLS request is the one that counts.
    let redirected = !tls && has_tls && first.iter().any(|p| seen.get(p).is_some_and(|o| redirects_to_tls(path, o.response())));
    if redirected { over(true) } else { first }
}

fn redirects_to_tls(path: &Path, response: Option<&crate::probe::Response>) -> bool {
    let host = path.route.asked_host().unwrap_or_default();
    response.filter(|r| (300..400).contains(&r.status)).and_then(|r| r.header("location")).is_some_and(|to| {
        to.strip_prefix("https://").is_some_and(|rest| rest.split(['/', ':', '?']).next().is_some_and(|h| h.eq_ignore_ascii_case(&host)))
    })
}

fn gateway_request(path: &Path, entrance: &Entrance, settings: &Settings) -> Probe {
    let request = Request {
        to: entrance.address,
        scheme: if entrance.tls { Scheme::Https } else { Scheme::Http },
        server_name: path.route.asked_host(),
        method: settings.method,
        host: path.route.asked_host().unwrap_or_else(|| entrance.address.to_string()),
        path: settings.path.clone().unwrap_or_else(|| path.route.asked_path()),
        headers: settings.headers.clone(),
    };
    Probe { question: Question::Request(Box::new(request)), attempt: 0, timeout: settings.timeout }
}

/// The same request for a host that no route has: what the gateway itself says where it knows no route.
pub fn reference(path: &Path, settings: &Settings) -> Option<Probe> {
    let gateway = path.gateway.known()?;
    let entrance = gateway.entrance(path.route.tls).or_else(|| gateway.entrances.first())?;
    let mut probe = gateway_request(path, entrance, settings);
    probe.timeout = WALK_TIMEOUT;
    if let Question::Request(request) = &mut probe.question {
        request.host = NO_SUCH_HOST.into();
        request.server_name = Some(request.host.clone());
        request.path = "/no-such-route".into();
    }
    Some(probe)
}

/// The gateway's own request to each endpoint, ready or not, up to the sample.
pub fn walk(path: &Path) -> Vec<Probe> {
    let sockets = sample(&path.backend.endpoints).filter(|e| !e.terminating).filter_map(|e| e.socket());
    sockets.map(|to| endpoint_request(path, to, path.backend.scheme, WALK_TIMEOUT)).collect()
}

/// Why an address may not be probed, or nothing where it may. Addresses in slices and names are written by users.
pub fn refusal(snapshot: &Snapshot, path: &Path, to: SocketAddr) -> Option<String> {
    let ip = to.ip().to_canonical();
    let of_gateway = path.gateway.known().is_some_and(|g| g.entrances.iter().any(|e| e.address == to));
    if let Some(kind) = special(ip) {
        return Some(format!("{ip} is a {kind} address, which is never probed"));
    }
    if of_gateway {
        return None;
    }
    if is_api_server(snapshot, ip) {
        return Some(format!("{ip} is the API server, which is never probed"));
    }
    let of_pod = path.backend.endpoints.iter().any(|e| e.address == ip && e.pod.known().is_some_and(|p| p.ips.contains(&ip)));
    let of_node = snapshot.nodes().find(|n| n.addresses.contains(&ip));
    match of_node {
        Some(node) if !of_pod => Some(format!("{ip} is the address of node {} and no pod of this route runs there", node.meta.name)),
        _ => None,
    }
}

fn is_api_server(snapshot: &Snapshot, ip: IpAddr) -> bool {
    let key = Key::new("default", "kubernetes");
    let by_service = snapshot.service(&key).known().is_some_and(|s| s.cluster_ips.contains(&ip));
    let text = ip.to_string();
    let by_slice = || {
        let slices = snapshot.slices_of(&key);
        slices.known().is_some_and(|s| s.iter().flat_map(|s| &s.endpoints).any(|e| e.addresses.contains(&text)))
    };
    by_service || by_slice()
}

fn special(ip: IpAddr) -> Option<&'static str> {
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => (v6.segments()[0] & 0xffc0) == 0xfe80,
    };
    if ip.is_loopback() {
        Some("loopback")
    } else if ip.is_unspecified() {
        Some("unspecified")
    } else if ip.is_multicast() {
        Some("multicast")
    } else if link_local {
        Some("link-local")
    } else {
        None
    }
}

//! What to ask of one path, given what was seen. Every function is a pure function of both, so planning can be repeated.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::causes::{NO_SUCH_HOST, Observations, endpoint_request, sample};
use crate::path::{Entrance, Path, landmarks};
use crate::probe::{Observation, Probe, Question, Request, Scheme, Signature, special};
use crate::snapshot::Snapshot;
use crate::snapshot::objects::docker::Status;

use super::settings::Settings;

/// Limit of one probe on the walk from hop to hop, so that a silent hop costs no more.
pub const WALK_TIMEOUT: Duration = Duration::from_secs(2);
/// Limit of an ordinary attempt at a request through the gateway: what is silent for so long is walked meanwhile, and only where the
/// walk does not explain the silence is the whole limit waited for.
const BRIEF: Duration = Duration::from_millis(1500);
/// A route that works takes at most this many times as long as it usually does.
const SLOWER: u32 = 4;
/// Ordinary attempts at most for one request: one, one again, and enough to see a share.
pub const ATTEMPTS: u8 = 24;
/// The number of the first attempt that waits for the whole limit; there are as many of them as of the others.
pub const PATIENT: u8 = ATTEMPTS;
/// Gateway pods asked at most.
const ENTRANCES: usize = 3;

/// The requests that stand for the route end to end, as first attempts.
pub fn end_to_end<'p>(path: &'p Path, seen: &Observations, settings: &Settings) -> &'p [Probe] {
    let Some(gateway) = path.gateway.known() else { return &[] };
    let over = |tls: bool| {
        let entrances = gateway.entrances.iter().filter(move |e| e.tls == tls).take(ENTRANCES);
        entrances.map(|e| gateway_request(path, e, settings)).collect()
    };
    let [plain, encrypted] = path.requests.through_gateway.get_or_init(|| [over(false), over(true)]);
    if plain.is_empty() || (path.route.tls && !encrypted.is_empty()) {
        return encrypted;
    }
    // A gateway that sends plain requests to https has shown nothing of the backend yet: the TLS request is the one that counts.
    let redirects = || plain.iter().any(|p| seen.get(p).is_some_and(|o| redirects_to_tls(path, o.response())));
    if !encrypted.is_empty() && redirects() { encrypted } else { plain }
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
    Probe { timeout: settings.timeout.min(brief(settings)), ..Probe::new(Question::Request(Arc::new(request))) }
}

fn brief(settings: &Settings) -> Duration {
    settings.usual.map_or(BRIEF, |usual| BRIEF.max(usual * SLOWER))
}

/// Another attempt at a request through the gateway; patient ones wait for the target's whole limit.
pub fn attempt(first: &Probe, number: u8, settings: &Settings) -> Probe {
    Probe { timeout: attempt_timeout(first, number, settings), ..first.again(number) }
}

/// Limit of another attempt.
pub fn attempt_timeout(first: &Probe, number: u8, settings: &Settings) -> Duration {
    if number >= PATIENT { settings.timeout } else { first.timeout }
}

/// Whether a request met silence for less than the limit that the target is given: it may only be slow.
pub fn is_cut_short(observation: &Observation, settings: &Settings) -> bool {
    let silent = matches!(observation.signature(), Some(Signature::ReadTimeout | Signature::ConnTimeout));
    silent && observation.probe.timeout < settings.timeout
}

/// Whether the walk shows why requests through the gateway meet silence, for a route that is known to be faster: an endpoint that cannot be
/// connected to. It proves nothing for others, since what cannot be reached from here may be reached from the gateway, and be slow.
pub fn explains_silence(path: &Path, seen: &Observations, settings: &Settings) -> bool {
    // A container that is frozen answers nobody, however long one waits.
    if path.backend.endpoints.iter().filter_map(|e| e.container.as_ref()).any(|c| c.state.status == Status::Paused) {
        return true;
    }
    if settings.usual.is_none() {
        return false;
    }
    let unreachable = |o: &Observation| {
        matches!(o.signature(), Some(Signature::ConnTimeout | Signature::HostUnreach | Signature::NetUnreach | Signature::Refused))
    };
    walk(path).iter().filter_map(|p| seen.get(p)).any(unreachable)
}

/// The same request for a host that no route has, at the same entrance: what the gateway itself says where it knows no route.
pub fn reference(path: &Path, seen: &Observations, settings: &Settings) -> Option<Probe> {
    let mut probe = end_to_end(path, seen, settings).first()?.clone();
    probe.timeout = WALK_TIMEOUT;
    if let Some(request) = probe.request_mut() {
        request.host = NO_SUCH_HOST.into();
        request.server_name = Some(request.host.clone());
        request.path = "/no-such-route".into();
    }
    Some(probe)
}

/// The gateway's own request to each endpoint, ready or not, up to the sample.
pub fn walk(path: &Path) -> &[Probe] {
    path.requests.to_endpoints.get_or_init(|| {
        let sockets = sample(&path.backend.endpoints).filter(|e| !e.terminating).filter_map(|e| e.socket());
        sockets.map(|to| endpoint_request(path, to, path.backend.scheme, WALK_TIMEOUT)).collect()
    })
}

/// The walk's requests to endpoints that were silent, with the target's whole limit: they may only be slow.
pub fn patient_walk(path: &Path, seen: &Observations, settings: &Settings) -> Vec<Probe> {
    let silent = |p: &&Probe| seen.get(*p).is_some_and(|o| o.signature() == Some(Signature::ReadTimeout));
    let patient = |p: &Probe| Probe { timeout: settings.timeout, ..p.again(PATIENT) };
    let longer = settings.timeout > WALK_TIMEOUT;
    walk(path).iter().filter(|_| longer).filter(silent).map(patient).collect()
}

/// Whether an endpoint that the gateway may use was seen to fail, and not only to be slow.
pub fn has_broken_endpoint(path: &Path, seen: &Observations, settings: &Settings) -> bool {
    let ready: Vec<SocketAddr> = path.backend.ready_endpoints().filter_map(|e| e.socket()).collect();
    let patient = patient_walk(path, seen, settings);
    let is_broken = |p: &Probe| {
        let twin = patient.iter().find(|twin| twin.question == p.question);
        seen.get(twin.unwrap_or(p)).is_some_and(|o| o.signature().is_some())
    };
    walk(path).iter().filter(|p| p.address().is_some_and(|to| ready.contains(&to))).any(is_broken)
}

/// Why an address may not be probed, or nothing where it may. Addresses in slices and names are written by users.
pub fn refusal(snapshot: &Snapshot, path: &Path, to: SocketAddr) -> Option<String> {
    let ip = to.ip().to_canonical();
    let of_gateway = path.gateway.known().is_some_and(|g| g.entrances.iter().any(|e| e.address == to));
    // Inside a container's own network, loopback is what its gateway calls itself.
    let own_loopback = ip.is_loopback() && path.container.is_some();
    if let Some(kind) = special(ip).filter(|_| !own_loopback) {
        return Some(format!("{ip} is a {kind} address, which is never probed"));
    }
    if of_gateway {
        return None;
    }
    if landmarks::is_api_server(snapshot, ip) {
        return Some(format!("{ip} is the API server, which is never probed"));
    }
    let of_pod = || path.backend.endpoints.iter().any(|e| e.address == ip && e.pod.known().is_some_and(|p| p.ips.contains(&ip)));
    match snapshot.node_at(ip) {
        Some(node) if !of_pod() => Some(format!("{ip} is the address of node {} and no pod of this route runs there", node.meta.name)),
        _ => None,
    }
}

//! The ports of a pod that may be the one that the application listens on, and what they answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::pod::{containers, declared, probed_port};
use super::{Hints, Table, is_auxiliary};
use crate::causes::{Case, Missing};
use crate::probe::{Observation, Outcome, Probe};
use crate::snapshot::objects::Pod;

/// Connects to one pod at most.
const MOST: usize = 20;
/// Ports that servers listen on where nobody tells them otherwise.
const COMMON: &[u16] =
    &[80, 8080, 8000, 3000, 5000, 8081, 8443, 9000, 4000, 8888, 443, 8008, 9090, 5173, 4200, 3001, 8090, 1337, 9292, 7000];

/// A port beside the refused one that accepts.
#[derive(Clone, Debug)]
pub struct Elsewhere<'a> {
    /// The port.
    pub port: u16,
    /// Why it was tried.
    pub source: Source,
    /// How well it answers the route's request.
    pub grade: Grade,
    /// The route's request to it.
    pub seen: &'a Observation,
}

/// Why a port was tried, the least telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Its name says that it is not for users.
    Auxiliary,
    /// Many servers use it.
    Common,
    /// The pod's listen table has it.
    Listening,
    /// The kubelet asks it.
    Probe,
    /// Arguments or environment name it.
    Told,
    /// A container declares it.
    Declared,
}

/// How well a port answers the route's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// It accepts, and does not speak what the gateway speaks.
    Accepts,
    /// It speaks HTTP, and knows nothing of the request: 404, 5xx.
    Answers,
    /// It answers as an application does.
    Serves,
}

/// What looking around gave.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// The port that is most likely the one.
    pub best: Option<Elsewhere<'a>>,
    /// The route's request to the refused port at the pod's address of the other IP family, where that accepts.
    pub twin: Option<&'a Observation>,
}

/// Tries the ports that may be it on one pod: connects to all, then sends the route's request to those that accept.
/// Where the pod's listen table is known, only what is open in it.
pub fn elsewhere<'a>(
    case: &Case<'a>,
    pod: &Arc<Pod>,
    ip: IpAddr,
    refused: u16,
    hints: &Hints,
    table: Option<&Table<'a>>,
) -> Result<Found<'a>, Missing> {
    let candidates = candidates(pod, refused, hints, table);
    let at = |port| SocketAddr::new(ip, port);
    let twin = pod.ips.iter().find(|other| other.is_ipv4() != ip.is_ipv4()).map(|other| SocketAddr::new(*other, refused));
    let mut probes: Vec<Probe> = candidates.iter().map(|(port, _)| case.connect_to(at(*port))).collect();
    probes.extend(twin.map(|to| case.connect_to(to)));
    case.ask_all(probes)?;
    let accepting = accepting(case, ip, candidates);
    let twin = twin.filter(|to| accepts(case, *to)).map(|to| case.request_to(to, case.path.backend.scheme));
    let requests: Vec<Probe> = accepting.iter().map(|(port, _)| request(case, ip, *port)).chain(twin.clone()).collect();
    if !requests.is_empty() {
        case.ask_all(requests)?;
    }
    Ok(Found { best: best_of(case, ip, accepting), twin: twin.and_then(|t| case.seen.get(&t)) })
}

/// Tries some ports of an address: connects to all, then sends the route's request to those that accept, and gives the one that answers best.
pub fn best<'a>(case: &Case<'a>, ip: IpAddr, mut candidates: Vec<(u16, Source)>) -> Result<Option<Elsewhere<'a>>, Missing> {
    candidates.truncate(MOST);
    if candidates.is_empty() {
        return Ok(None);
    }
    case.ask_all(candidates.iter().map(|(port, _)| case.connect_to(SocketAddr::new(ip, *port))).collect())?;
    let accepting = accepting(case, ip, candidates);
    if !accepting.is_empty() {
        case.ask_all(accepting.iter().map(|(port, _)| request(case, ip, *port)).collect())?;
    }
    Ok(best_of(case, ip, accepting))
}

/// Ports that servers listen on where nobody tells them otherwise.
pub fn common() -> impl Iterator<Item = (u16, Source)> {
    COMMON.iter().map(|port| (*port, Source::Common))
}

fn request(case: &Case<'_>, ip: IpAddr, port: u16) -> Probe {
    case.request_to(SocketAddr::new(ip, port), case.path.backend.scheme)
}

fn accepts(case: &Case<'_>, to: SocketAddr) -> bool {
    case.seen.get(&case.connect_to(to)).is_some_and(|o| o.outcome == Outcome::Connected)
}

fn accepting(case: &Case<'_>, ip: IpAddr, candidates: Vec<(u16, Source)>) -> Vec<(u16, Source)> {
    candidates.into_iter().filter(|(port, _)| accepts(case, SocketAddr::new(ip, *port))).collect()
}

fn best_of<'a>(case: &Case<'a>, ip: IpAddr, accepting: Vec<(u16, Source)>) -> Option<Elsewhere<'a>> {
    let graded = accepting.into_iter().filter_map(|(port, source)| {
        let seen = case.seen.get(&request(case, ip, port))?;
        let grade = grade(seen)?;
        // Anything may accept on a port that nobody named; only an answer makes it a candidate.
        (grade > Grade::Accepts || source > Source::Common).then_some(Elsewhere { port, source, grade, seen })
    });
    graded.max_by_key(|e| (e.source != Source::Auxiliary, e.grade, e.source, std::cmp::Reverse(e.port)))
}

/// How well an answer is one to the route's request; nothing where none came.
pub fn grade(seen: &Observation) -> Option<Grade> {
    match &seen.outcome {
        Outcome::Response(r) if (200..400).contains(&r.status) || matches!(r.status, 401 | 403 | 405) => Some(Grade::Serves),
        Outcome::Response(_) => Some(Grade::Answers),
        Outcome::Broken { .. } => Some(Grade::Accepts),
        _ => None,
    }
}

/// Declared ports, those that the kubelet asks, those that the program is told, those that are open, and the common ones, each once.
fn candidates(pod: &Pod, refused: u16, hints: &Hints, table: Option<&Table<'_>>) -> Vec<(u16, Source)> {
    let mut found: Vec<(u16, Source)> = Vec::new();
    let mut add = |port: u16, source: Source| {
        if port != refused && found.len() < MOST && table.is_none_or(|t| t.is_open(port)) && !found.iter().any(|(p, _)| *p == port) {
            found.push((port, source));
        }
    };
    let scraped = pod.meta.annotations.get("prometheus.io/port").and_then(|p| p.parse::<u16>().ok());
    for (port, name) in declared(pod) {
        add(port, if name.is_some_and(is_auxiliary) || scraped == Some(port) { Source::Auxiliary } else { Source::Declared });
    }
    hints.ports().for_each(|(port, _)| add(port, Source::Told));
    if let Some(port) = scraped {
        add(port, Source::Auxiliary);
    }
    for container in containers(pod) {
        let probes = [&container.readiness, &container.liveness, &container.startup];
        probes.into_iter().flatten().filter_map(|p| probed_port(&p.action, container)).for_each(|port| add(port, Source::Probe));
    }
    table.into_iter().flat_map(|t| t.open_ports(pod)).for_each(|port| add(port, Source::Listening));
    hints.numbers().for_each(|port| add(port, Source::Common));
    // On the host's network these are other programs' ports.
    if !pod.host_network {
        COMMON.iter().for_each(|port| add(*port, Source::Common));
    }
    found
}

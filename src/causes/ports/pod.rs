//! What a pod's spec and state say about its ports.

use jiff::{SignedDuration, Timestamp};

use crate::probe::Observation;
use crate::snapshot::objects::{Container, ContainerState, Phase, Pod, PortRef, ProbeAction, Transport};

/// A container that runs for less than this may still be about to listen.
const SETTLING: SignedDuration = SignedDuration::from_secs(10);

/// Declared TCP ports of a pod with their names.
pub fn declared(pod: &Pod) -> impl Iterator<Item = (u16, Option<&str>)> {
    let ports = containers(pod).flat_map(|c| &c.ports).filter(|p| p.transport == Transport::Tcp);
    ports.map(|p| (p.port, p.name.as_deref()))
}

/// Containers that serve: those that run beside each other, sidecars of the older and the newer form.
pub fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let sidecar = |c: &&Container| matches!(c.state, ContainerState::Running { .. });
    pod.containers.iter().chain(pod.init_containers.iter().filter(sidecar))
}

/// The containers that declare a port; all of them where none does.
pub fn owners(pod: &Pod, port: u16) -> Vec<&Container> {
    let declares = |c: &&Container| c.ports.iter().any(|p| p.port == port);
    let found: Vec<_> = containers(pod).filter(declares).collect();
    if found.is_empty() { containers(pod).collect() } else { found }
}

/// Whether the containers that should listen run at all.
pub fn runs(pod: &Pod, port: Option<u16>) -> bool {
    let stopped = |c: &&Container| matches!(c.state, ContainerState::Waiting { .. } | ContainerState::Terminated(_));
    pod.phase == Phase::Running && !pod.meta.deleting && !owners(pod, port.unwrap_or_default()).iter().any(stopped)
}

/// Whether the containers started so shortly before the request that they may not listen yet.
pub fn settles(pod: &Pod, seen: &Observation) -> bool {
    let since = |c: &Container| match c.state {
        ContainerState::Running { since } => since,
        _ => None,
    };
    let settling = |since: Timestamp| seen.at.duration_since(since).abs() < SETTLING;
    containers(pod).filter_map(since).any(settling)
}

/// Whether the pod is held as not ready by a probe of the very port, so that the port explains it.
pub fn readiness_asks(pod: &Pod, port: Option<u16>) -> bool {
    let Some(port) = port else { return false };
    containers(pod).any(|c| c.readiness.as_ref().and_then(|p| probed_port(&p.action, c)).is_some_and(|p| p == port))
}

/// Whether the kubelet reaches the pod over the network, so that its readiness says that it can be reached at all.
pub fn is_probed_by_network(pod: &Pod) -> bool {
    let by_network =
        |action: &ProbeAction| matches!(action, ProbeAction::HttpGet { .. } | ProbeAction::TcpSocket { .. } | ProbeAction::Grpc { .. });
    pod.containers.iter().any(|c| c.readiness.as_ref().is_some_and(|p| by_network(&p.action)))
}

/// Whether the kubelet's readiness probe shows that connections to a port are taken: it asks that port, or it asks another one of a pod that
/// does not declare this one.
pub fn kubelet_gets_through(pod: &Pod, port: u16) -> bool {
    let is_declared = declared(pod).any(|(p, _)| p == port);
    pod.is_ready() && (readiness_asks(pod, Some(port)) || (is_probed_by_network(pod) && !is_declared))
}

/// Whether the kubelet gets answers from a port: a connection alone is the kernel's to give, an answer is the program's.
pub fn answers_kubelet(pod: &Pod, port: u16) -> bool {
    let answers = |c: &Container, action: &ProbeAction| {
        matches!(action, ProbeAction::HttpGet { .. } | ProbeAction::Grpc { .. }) && probed_port(action, c) == Some(port)
    };
    containers(pod).any(|c| c.ready && c.readiness.as_ref().is_some_and(|p| answers(c, &p.action)))
}

/// The port that a kubelet's probe asks.
pub fn probed_port(action: &ProbeAction, container: &Container) -> Option<u16> {
    match action {
        ProbeAction::HttpGet { port: PortRef::Number(n), host: None, .. } | ProbeAction::TcpSocket { port: PortRef::Number(n) } => Some(*n),
        ProbeAction::HttpGet { port: PortRef::Name(name), host: None, .. } | ProbeAction::TcpSocket { port: PortRef::Name(name) } => {
            container.ports.iter().find(|p| p.name.as_ref() == Some(name)).map(|p| p.port)
        }
        ProbeAction::Grpc { port } => Some(*port),
        ProbeAction::HttpGet { .. } | ProbeAction::Exec => None,
    }
}

/// Whether two pods were made from the same template, as far as their labels tell.
pub fn same_template(a: &Pod, b: &Pod) -> bool {
    let template = |p: &Pod| p.meta.labels.get("pod-template-hash").or_else(|| p.meta.labels.get("controller-revision-hash")).cloned();
    template(a) == template(b)
}

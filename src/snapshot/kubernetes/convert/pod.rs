//! Pods and their containers.

use k8s_openapi::api::core::v1 as core;

use super::{Convert, addresses, condition, meta, port_number, port_ref, time, transport};
use crate::snapshot::objects::{Container, ContainerPort, ContainerState, Object, Phase, Pod, ProbeAction, ProbeSpec, Termination};

/// Arguments kept of one container, and characters of each: enough for flags and listen addresses, not for scripts.
const MOST_ARGUMENTS: usize = 64;
const LONGEST_ARGUMENT: usize = 256;

impl Convert for core::Pod {
    fn convert(self) -> Object {
        let (spec, status) = (self.spec.unwrap_or_default(), self.status.unwrap_or_default());
        let ips = status.pod_ips.map(|ips| ips.into_iter().map(|i| i.ip).collect()).unwrap_or_else(|| Vec::from_iter(status.pod_ip));
        let conditions = status.conditions.unwrap_or_default().into_iter();
        Object::Pod(Box::new(Pod {
            meta: meta(self.metadata),
            node: spec.node_name,
            ips: addresses(ips),
            host_network: spec.host_network.unwrap_or_default(),
            service_account: spec.service_account_name,
            phase: status.phase.as_deref().and_then(|p| p.parse().ok()).unwrap_or(Phase::Pending),
            reason: status.reason.filter(|r| !r.is_empty()),
            conditions: conditions.map(|c| condition(c.type_, &c.status, c.reason, c.message, c.last_transition_time)).collect(),
            containers: containers(spec.containers, status.container_statuses.unwrap_or_default()),
            init_containers: containers(spec.init_containers.unwrap_or_default(), status.init_container_statuses.unwrap_or_default()),
        }))
    }
}

fn containers(specs: Vec<core::Container>, statuses: Vec<core::ContainerStatus>) -> Vec<Container> {
    specs
        .into_iter()
        .map(|spec| {
            let status = statuses.iter().find(|s| s.name == spec.name).cloned();
            container(spec, status)
        })
        .collect()
}

fn container(spec: core::Container, status: Option<core::ContainerStatus>) -> Container {
    let args = spec.command.unwrap_or_default().into_iter().chain(spec.args.unwrap_or_default());
    let memory_limit = spec.resources.and_then(|r| r.limits).and_then(|l| l.get("memory").map(|q| q.0.clone()));
    let mut container = Container {
        name: spec.name,
        image: spec.image.unwrap_or_default(),
        ports: spec.ports.unwrap_or_default().into_iter().filter_map(container_port).collect(),
        args: args.take(MOST_ARGUMENTS).map(|a| a.chars().take(LONGEST_ARGUMENT).collect()).collect(),
        env: spec.env.unwrap_or_default().into_iter().filter_map(listen_setting).collect(),
        readiness: spec.readiness_probe.and_then(probe),
        liveness: spec.liveness_probe.and_then(probe),
        startup: spec.startup_probe.and_then(probe),
        memory_limit,
        ..Container::default()
    };
    if let Some(status) = status {
        container.ready = status.ready;
        container.restarts = status.restart_count;
        container.state = status.state.map(state).unwrap_or_default();
        container.last_termination = status.last_state.and_then(|s| s.terminated).map(termination);
    }
    container
}

fn container_port(port: core::ContainerPort) -> Option<ContainerPort> {
    Some(ContainerPort {
        name: port.name.filter(|n| !n.is_empty()),
        port: port_number(port.container_port)?,
        host_port: port.host_port.and_then(port_number),
        transport: transport(port.protocol.as_deref()),
    })
}

/// A literal environment value that says where a server listens. Values from Secrets and ConfigMaps are references, which are not
/// followed; names that sound like a credential are never kept.
fn listen_setting(variable: core::EnvVar) -> Option<(String, String)> {
    const NAMES: &[&str] = &["PORT", "HOST", "BIND", "LISTEN", "ADDR"];
    const SECRET: &[&str] = &["PASS", "TOKEN", "KEY", "SECRET", "CREDENTIAL", "AUTH"];
    let name = variable.name.to_ascii_uppercase();
    let value = variable.value.filter(|v| v.len() <= 64)?;
    let wanted = NAMES.iter().any(|n| name.contains(n)) && !SECRET.iter().any(|s| name.contains(s));
    wanted.then_some((variable.name, value))
}

fn probe(probe: core::Probe) -> Option<ProbeSpec> {
    let action = if let Some(get) = probe.http_get {
        ProbeAction::HttpGet {
            path: get.path.filter(|p| !p.is_empty()).unwrap_or_else(|| "/".into()),
            port: port_ref(get.port)?,
            https: get.scheme.as_deref() == Some("HTTPS"),
            host: get.host.filter(|h| !h.is_empty()),
            headers: get.http_headers.unwrap_or_default().into_iter().map(|h| (h.name, h.value)).collect(),
        }
    } else if let Some(socket) = probe.tcp_socket {
        ProbeAction::TcpSocket { port: port_ref(socket.port)? }
    } else if let Some(grpc) = probe.grpc {
        ProbeAction::Grpc { port: port_number(grpc.port)? }
    } else {
        ProbeAction::Exec
    };
    Some(ProbeSpec {
        action,
        timeout_seconds: probe.timeout_seconds.unwrap_or(1),
        period_seconds: probe.period_seconds.unwrap_or(10),
        failure_threshold: probe.failure_threshold.unwrap_or(3),
        initial_delay_seconds: probe.initial_delay_seconds.unwrap_or_default(),
    })
}

fn state(state: core::ContainerState) -> ContainerState {
    match (state.waiting, state.running, state.terminated) {
        (Some(waiting), _, _) => {
            ContainerState::Waiting { reason: waiting.reason.unwrap_or_default(), message: waiting.message.unwrap_or_default() }
        }
        (None, Some(running), _) => ContainerState::Running { since: time(running.started_at) },
        (None, None, Some(ended)) => ContainerState::Terminated(termination(ended)),
        (None, None, None) => ContainerState::Unreported,
    }
}

fn termination(ended: core::ContainerStateTerminated) -> Termination {
    Termination {
        exit_code: ended.exit_code,
        signal: ended.signal.unwrap_or_default(),
        reason: ended.reason.unwrap_or_default(),
        message: ended.message.unwrap_or_default(),
        finished: time(ended.finished_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_settings_are_kept_and_credentials_are_not() {
        let variable = |name: &str, value: &str| core::EnvVar { name: name.into(), value: Some(value.into()), ..core::EnvVar::default() };
        assert!(listen_setting(variable("PORT", "3000")).is_some());
        assert!(listen_setting(variable("HOST_PASSWORD", "x")).is_none());
        assert!(listen_setting(variable("COLOUR", "blue")).is_none());
    }

    #[test]
    fn a_container_is_joined_with_its_status_by_name() {
        let pod: core::Pod = serde_yaml::from_str(
            "metadata: {name: p, namespace: n}
spec: {containers: [{name: a, args: [--port, '80']}, {name: b}]}
status:
  phase: Running
  podIP: 10.0.0.9
  containerStatuses:
  - {name: b, ready: true, restartCount: 3, image: x, imageID: y, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled}}}",
        )
        .unwrap();
        let Object::Pod(pod) = pod.convert() else { panic!("not a pod") };
        assert_eq!(pod.containers[0].state, ContainerState::Unreported);
        assert_eq!(pod.containers[1].restarts, 3);
        assert_eq!(pod.containers[1].last_termination.as_ref().unwrap().reason, "OOMKilled");
        assert_eq!(pod.ips.len(), 1);
    }
}

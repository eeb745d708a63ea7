//! Pods and their containers.

use k8s_openapi::api::core::v1 as core;

use super::{Convert, addresses, condition, meta, port_number, port_ref, time, transport, wire};
use crate::snapshot::environment;
use crate::snapshot::objects::{
    Container, ContainerPort, ContainerSpec, ContainerState, Object, Phase, Pod, ProbeAction, ProbeSpec, Termination, Text,
};

/// Arguments kept of one container, and characters of each: enough for flags and listen addresses, not for scripts.
const MOST_ARGUMENTS: usize = 64;
const LONGEST_ARGUMENT: usize = 256;
/// Steps on a pod's way up that tell nothing once they are done; every pod has them.
const PASSED: &[&str] = &["PodReadyToStartContainers", "PodScheduled", "Initialized"];

impl Convert for wire::Pod {
    fn convert(self) -> Object {
        let (spec, status) = (self.spec.unwrap_or_default(), self.status.unwrap_or_default());
        let ips = status.pod_ips.map(|ips| ips.into_iter().map(|i| i.ip).collect()).unwrap_or_else(|| Vec::from_iter(status.pod_ip));
        let tells = |c: &wire::Condition| !(c.status.as_deref() == Some("True") && c.type_.as_deref().is_some_and(|t| PASSED.contains(&t)));
        let conditions = status.conditions.unwrap_or_default().into_iter().filter(tells);
        Object::Pod(Box::new(Pod {
            meta: meta(self.metadata),
            node: spec.node_name.map(Text::from),
            ips: addresses(ips),
            host_network: spec.host_network.unwrap_or_default(),
            service_account: spec.service_account_name.map(Text::from),
            phase: status.phase.as_deref().and_then(|p| p.parse().ok()).unwrap_or(Phase::Pending),
            reason: status.reason.filter(|r| !r.is_empty()),
            conditions: conditions.map(condition).collect(),
            readiness_gates: spec.readiness_gates.unwrap_or_default().into_iter().map(|g| g.condition_type).collect(),
            containers: containers(spec.containers, status.container_statuses),
            init_containers: containers(spec.init_containers, status.init_container_statuses),
        }))
    }
}

fn containers(specs: Option<Vec<wire::Container>>, statuses: Option<Vec<wire::ContainerStatus>>) -> Vec<Container> {
    let mut statuses = statuses.unwrap_or_default();
    let with_status = |spec: wire::Container| {
        let status = statuses.iter().position(|s| s.name == spec.name).map(|at| statuses.swap_remove(at));
        container(spec, status)
    };
    specs.unwrap_or_default().into_iter().map(with_status).collect()
}

fn container(spec: wire::Container, status: Option<wire::ContainerStatus>) -> Container {
    let args = spec.command.unwrap_or_default().into_iter().chain(spec.args.unwrap_or_default());
    let memory_limit = spec.resources.and_then(|r| r.limits).and_then(|l| l.get("memory").map(|q| q.0.clone()));
    let spec = ContainerSpec {
        name: spec.name.unwrap_or_default(),
        image: spec.image.unwrap_or_default(),
        ports: spec.ports.unwrap_or_default().into_iter().filter_map(container_port).collect(),
        args: args.take(MOST_ARGUMENTS).map(|a| a.chars().take(LONGEST_ARGUMENT).collect()).collect(),
        env: spec.env.unwrap_or_default().into_iter().filter_map(listen_setting).collect(),
        readiness: spec.readiness_probe.and_then(probe),
        liveness: spec.liveness_probe.and_then(probe),
        startup: spec.startup_probe.and_then(probe),
        memory_limit,
    };
    let mut container = Container { spec: spec.into(), ..Container::default() };
    if let Some(status) = status {
        container.ready = status.ready.unwrap_or_default();
        container.restarts = status.restart_count.unwrap_or_default();
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

/// A literal environment value that says where a server listens. Values from Secrets and ConfigMaps are references, which are not followed.
fn listen_setting(variable: wire::EnvVar) -> Option<(String, String)> {
    let (name, value) = (variable.name?, variable.value?);
    environment::says_where_it_listens(&name, &value).then_some((name, value))
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
    fn a_container_is_joined_with_its_status_by_name() {
        let pod: wire::Pod = serde_yaml::from_str(
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

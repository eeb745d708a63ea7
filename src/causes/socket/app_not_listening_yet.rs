use jiff::SignedDuration;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::docker::refused::{self, Fault};
use crate::causes::ports::{self, Table};
use crate::causes::{Case, Cause, EndpointView, Judgement, Platform, When};
use crate::evidence::inside::Listens;
use crate::probe::Signature;
use crate::snapshot::objects::{ContainerState, Pod};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "app-not-listening-yet",
    summary: "the program in the pod or container runs and has not opened its port",
    hop: Hop::Socket,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Everywhere,
    signatures: &[Signature::Refused],
    explains: &["eps-all-not-ready", "readiness-probe-misconfigured"],
    since: "0.1.0",
    docs: r"
## What it means
The container runs, and nothing in it listens on a port for users: the program is still starting, waits for something, or has failed to open its port without ending.

## What you see
502 on Traefik, nginx and Caddy, 503 on HAProxy, Envoy and Apache, at once, for as long as it takes. Where a readiness probe asks the port, the pod is not ready meanwhile.

## How we know
The port refuses, and an agent reads the listen table inside the pod: nobody listens on the port, nor on another one that could be meant instead. Where the containers run for less
than five minutes, or the pod is not ready, it is proven; else it is Likely, since a program that is up for long should have opened its port. In a container's first ten seconds it
is Likely as well, since a program that ends at once is seen to run for a moment, too.

## How to fix
Wait for it, and give the pod a readiness probe (and a startup probe where it takes long), so that it gets no request before. Where it never opens the port, its log says why.

## Looks like
`app-wrong-port` and `svc-targetport-wrong`: another port is open. `app-binds-loopback`: the port is open on 127.0.0.1. `no-readiness-slow-start`: the same in a pod without a
readiness probe, seen from outside.

## Limits
Without an agent nobody looks into the pod, and it is not known. A port that is declared for metrics or health does not count as one for users.
",
    check,
};

/// Programs that start slowly have opened their port by then.
const YOUNG: SignedDuration = SignedDuration::from_mins(5);
/// A container that runs for shorter may be one that is about to end.
const NEWBORN: SignedDuration = SignedDuration::from_secs(10);

fn check(case: &Case<'_>) -> Judgement {
    if case.platform() == Platform::Docker {
        return of_container(case);
    }
    let (ready, walked) = ports::walked(case)?;
    let refuses = |v: &&EndpointView<'_>| v.seen.signature() == Some(Signature::Refused);
    let suspect =
        |v: &EndpointView<'_>, pod: &Pod| ports::runs(pod, v.endpoint.port) && (ready || ports::readiness_asks(pod, v.endpoint.port));
    let Some((view, pod)) = walked.iter().filter(refuses).find_map(|v| Some((v, v.endpoint.pod.known().filter(|p| suspect(v, p))?))) else {
        return Ok(None);
    };
    let Some(port) = view.endpoint.port else { return Ok(None) };
    let table = Table::of(case.look(pod)?, view.endpoint.address, port);
    if !matches!(table.at, Listens::Nobody) || !table.users_ports(pod).is_empty() {
        return Ok(None);
    }
    let confidence = match age(pod, view) {
        // A program that ends at once is seen to run for a moment, too.
        Some(age) if age < NEWBORN => Confidence::Likely,
        Some(age) if age < YOUNG => Confidence::Proven,
        _ if !pod.is_ready() => Confidence::Proven,
        _ => Confidence::Likely,
    };
    let message = format!(
        "Service {} sends to port {port}, where {} refuses: its program runs and has not opened a port.",
        case.service_name(),
        pod.reference()
    );
    let line = table.closed_line(None);
    let finding = CAUSE
        .finding(confidence, message)
        .object(&pod.reference(), "spec.containers")
        .saw(view.seen)
        .looked(table.look, line.clone())
        .proof(view.seen.to_string(), line)
        .fix("Wait until it listens, and let a readiness probe keep requests away until then; its log says what it waits for.");
    Ok(finding.command(format!("kubectl -n {} logs {} --all-containers --tail=50", pod.meta.namespace, pod.meta.name)).into())
}

/// A container of a Docker engine that runs for longer than programs take to start, with nobody in it who listens.
fn of_container(case: &Case<'_>) -> Judgement {
    let Some(refused) = refused::refused(case)?.filter(|r| r.fault() == Fault::NotListening) else { return Ok(None) };
    let Some(table) = refused.table else { return Ok(None) };
    let (container, seen) = (refused.container, refused.view.seen);
    let is_young = container.state.started.is_some_and(|at| seen.at.duration_since(at).abs() < YOUNG);
    let confidence = if is_young { Confidence::Proven } else { Confidence::Likely };
    let message = format!("{}, where {} refuses: its program runs and has not opened a port.", refused.sends(), container.name);
    let line = table.closed_line(None);
    Ok(CAUSE
        .finding(confidence, message)
        .object(&container.reference(), "Config.Cmd")
        .saw(seen)
        .looked(table.look, line.clone())
        .proof(seen.to_string(), line)
        .fix("Wait until it listens; its log says what it waits for. A health check with `depends_on: {condition: service_healthy}` keeps the gateway waiting as well.")
        .command(format!("docker logs --tail 50 {}", container.name))
        .into())
}

/// For how long the container that was started last runs.
fn age(pod: &Pod, view: &EndpointView<'_>) -> Option<SignedDuration> {
    let since = |state: &ContainerState| match state {
        ContainerState::Running { since } => *since,
        _ => None,
    };
    pod.containers.iter().filter_map(|c| since(&c.state)).map(|since| view.seen.at.duration_since(since).abs()).min()
}

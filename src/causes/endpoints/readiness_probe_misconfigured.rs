use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use std::net::SocketAddr;
use std::time::Duration;

use crate::causes::Missing;
use crate::path::Endpoint;
use crate::probe::{Method, Observation, Probe, Question, Request, Scheme};
use crate::snapshot::objects::{Container, Pod, PortRef, ProbeAction, ProbeSpec};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "readiness-probe-misconfigured",
    summary: "the readiness probe fails although the application serves users",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoEndpoint],
    explains: &["eps-all-not-ready", "rollout-stuck-new-rs-bad"],
    since: "0.1.0",
    docs: r"
## What it means
The application answers users' requests, but the probe that decides over its readiness asks for something else: another path, port, scheme or a faster answer.

## What you see
503 on most gateways, 404 on Traefik unless it keeps empty Services, with a healthy application. Pods show `0/1 Running`.

## How we know
The user's request to the pod is answered well, and the probe's own request, put in the same way, is not.

## How to fix
Correct the probe's path, port or scheme, or give it the time that it needs.

## Looks like
`eps-all-not-ready`: there the application does not serve users either, and the probe is only the messenger.

## Limits
Probes by command or gRPC cannot be repeated from outside; where users are served the finding is Likely then.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    if !case.has_no_ready_endpoint()? {
        return Ok(None);
    }
    for endpoint in case.path.backend.endpoints.iter().filter(|e| !e.ready && !e.terminating) {
        let (Some(pod), Some(socket)) = (endpoint.pod.known(), endpoint.socket()) else { continue };
        let Some((container, spec)) = pod.containers.iter().filter(|c| !c.ready).find_map(|c| Some((c, c.readiness.as_ref()?))) else {
            continue;
        };
        let user = case.ask(case.request_to(socket, case.path.backend.scheme))?;
        if !user.response().is_some_and(|r| r.status < 400 || matches!(r.status, 401 | 403)) {
            continue;
        }
        return judge(case, endpoint, pod, container, spec, user);
    }
    Ok(None)
}

fn judge(case: &Case<'_>, endpoint: &Endpoint, pod: &Pod, container: &Container, spec: &ProbeSpec, user: &Observation) -> Judgement {
    let Some(asked) = ask(case, endpoint, container, spec)? else {
        let finding = CAUSE.finding(
            Confidence::Likely,
            format!("{} serves users, but its readiness probe, which cannot be repeated from outside, fails.", pod.reference()),
        );
        return Ok(finding
            .object(&pod.reference(), "spec.containers[].readinessProbe")
            .saw(user)
            .proof(case.failing_line(), user.to_string())
            .fix("Run the probe's command in the container and correct it.")
            .into());
    };
    let passes = match &spec.action {
        // The kubelet takes 200 to 399 as success.
        ProbeAction::HttpGet { .. } => asked.response().is_some_and(|r| (200..400).contains(&r.status)),
        ProbeAction::TcpSocket { .. } | ProbeAction::Grpc { .. } | ProbeAction::Exec => asked.signature().is_none(),
    };
    if passes {
        return Ok(None);
    }
    let message = format!("{} serves users, but its readiness probe fails: {}.", pod.reference(), asked);
    let condition = pod.condition("Ready").and_then(|c| c.message.clone()).unwrap_or_default();
    let owner = super::pods::owner(case, pod);
    Ok(CAUSE
        .finding(Confidence::Proven, message)
        .object(&pod.reference(), "spec.containers[].readinessProbe")
        .saw(asked)
        .saw(user)
        .states(format!("{}: {condition}", pod.reference()))
        .proof(asked.to_string(), user.to_string())
        .fix("Let the probe ask for what the application serves.")
        .command(format!("kubectl -n {} edit {owner}", pod.meta.namespace))
        .into())
}

/// What the kubelet's own request shows; none for probes that cannot be repeated from outside.
pub(super) fn ask<'a>(
    case: &Case<'a>,
    endpoint: &Endpoint,
    container: &Container,
    spec: &ProbeSpec,
) -> Result<Option<&'a Observation>, Missing> {
    let number = |port: &PortRef| match port {
        PortRef::Number(number) => Some(*number),
        PortRef::Name(name) => container.ports.iter().find(|p| p.name.as_ref() == Some(name)).map(|p| p.port),
    };
    let timeout = Duration::from_secs(u64::try_from(spec.timeout_seconds).unwrap_or(1).clamp(1, 5));
    match &spec.action {
        ProbeAction::HttpGet { path, port, https, host: None, headers } => {
            let Some(port) = number(port) else { return Ok(None) };
            let to = SocketAddr::new(endpoint.address, port);
            let (hosts, headers): (Vec<_>, Vec<_>) = headers.iter().cloned().partition(|(name, _)| name.eq_ignore_ascii_case("host"));
            let host = hosts.into_iter().next().map_or_else(|| to.to_string(), |(_, value)| value);
            let scheme = if *https { Scheme::Https } else { Scheme::Http };
            let request = Request { to, scheme, server_name: None, method: Method::Get, host, path: path.clone(), headers };
            case.ask(Probe { timeout, ..Probe::new(Question::Request(request.into())) }).map(Some)
        }
        ProbeAction::TcpSocket { port } => match number(port) {
            Some(port) => case.ask(Probe { timeout, ..Probe::connect(SocketAddr::new(endpoint.address, port)) }).map(Some),
            None => Ok(None),
        },
        ProbeAction::HttpGet { host: Some(_), .. } | ProbeAction::Grpc { .. } | ProbeAction::Exec => Ok(None),
    }
}

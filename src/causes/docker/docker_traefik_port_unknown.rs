use super::refused::{self, Fault};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::evidence::config::Omission;
use crate::path::ContainerRoute;
use crate::probe::Signature;
use crate::snapshot::objects::docker::Container;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-traefik-port-unknown",
    summary: "Traefik does not know the container's port, or took one of several",
    hop: Hop::Route,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::NoRoute, Signature::Refused],
    explains: &["docker-app-binds-loopback", "docker-published-vs-container-port", "docker-upstream-port-wrong"],
    since: "0.1.0",
    docs: r"
## What it means
Without a label that names the port, Traefik takes the lowest port that the container exposes. Where it exposes none, the container is passed over; where it exposes several, the lowest may be another one than the application's.

## What you see
404 of Traefik itself with `port is missing` in its log, or 502 at once.

## How we know
No label names the port; and the container exposes none, or several, of which the lowest refuses.

## How to fix
Name it: the label `traefik.http.services.NAME.loadbalancer.server.port=3000`.

## Looks like
`docker-upstream-port-wrong`: the port is written. `docker-container-unhealthy` gives the same 404.

## Limits
A port that nothing exposes is not known here either.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(route) = case.path.container.as_deref().filter(|r| r.gateway.runs()) else { return Ok(None) };
    match route.left_out() {
        Some((container, Omission::NoPort)) => Ok(missing(case, route, container)),
        _ => guessed(case),
    }
}

fn missing(case: &Case<'_>, route: &ContainerRoute, container: &Container) -> Option<crate::api::Finding> {
    let name = &container.name;
    let states = format!("{name} exposes no port, and none of its labels names one");
    let message = format!("{} does not serve {name}: no label names its port, and it exposes none.", route.gateway.name);
    CAUSE
        .finding(Confidence::Proven, message)
        .object(&container.reference(), "Config.Labels")
        .states(states.clone())
        .proof(case.failing_line(), states)
        .fix(label(container, None))
        .into()
}

/// A port that Traefik took of several, which refuses.
fn guessed(case: &Case<'_>) -> Judgement {
    let Some(refused) = refused::refused(case)? else { return Ok(None) };
    let container = refused.container;
    let is_guessed = refused.server.server.container.as_deref() == Some(container.name.as_str()) && !names_a_port(container);
    if !is_guessed || container.exposed.len() < 2 {
        return Ok(None);
    }
    let confidence = match refused.fault() {
        Fault::Port(confidence) | Fault::Published(_, confidence) => confidence,
        _ => return Ok(None),
    };
    let ports: Vec<String> = container.exposed.iter().take(8).map(ToString::to_string).collect();
    let message = format!(
        "{} takes port {} of {}, the lowest of those that it exposes ({}), and that one refuses.",
        refused.route.gateway.name,
        refused.port(),
        container.name,
        ports.join(", ")
    );
    let finding = refused.evidence(CAUSE.finding(confidence, message)).object(&container.reference(), "Config.ExposedPorts");
    Ok(finding.fix(label(container, refused.meant())).into())
}

/// Whether a label names the port of a service.
fn names_a_port(container: &Container) -> bool {
    let names = |label: &String| {
        let label = label.to_ascii_lowercase();
        label.starts_with("traefik.http.services.")
            && (label.ends_with(".loadbalancer.server.port") || label.ends_with(".loadbalancer.server.url"))
    };
    container.labels.keys().any(names)
}

fn label(container: &Container, port: Option<u16>) -> String {
    let service = container.service().unwrap_or(&container.name);
    let port = port.map_or_else(|| "PORT".to_owned(), |p| p.to_string());
    format!("Give {} the label `traefik.http.services.{service}.loadbalancer.server.port={port}`.", container.name)
}

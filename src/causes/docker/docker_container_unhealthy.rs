use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When};
use crate::evidence::config::{Lookup, Omission};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-container-unhealthy",
    summary: "the gateway passes the container over, since its health check fails",
    hop: Hop::Endpoint,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::NoRoute, Signature::NoEndpoint],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
A container may have a health check. A gateway that takes its routes from containers' labels serves healthy ones alone: while the check fails, or has not passed yet, the route is not there at all.

## What you see
404 from the gateway itself, although the container runs and answers. nginx and others that are told by files keep sending.

## How we know
The engine says that the check fails, or has not passed yet; the container's labels ask for the route; and no other container serves it.

## How to fix
Mend the check or what it finds. Often its command is not in the image (`curl`), or asks another port.

## Looks like
`docker-traefik-port-unknown` gives the same 404.

## Limits
For gateways that do not read health checks it is no cause, and not named.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(route) = case.path.container.as_deref().filter(|r| r.gateway.runs()) else { return Ok(None) };
    let how = match route.left_out() {
        Some((_, Omission::Unhealthy)) => "fails",
        Some((_, Omission::Starting)) => "has not passed yet",
        None if route.upstream.servers.is_empty() && route.upstream.lookup == Lookup::Given => {
            return Err(Missing::Fact("no container is known that makes this upstream".into()));
        }
        _ => return Ok(None),
    };
    let Some((container, health)) = route.left_out().and_then(|(c, _)| Some((c, c.state.health.as_ref()?))) else { return Ok(None) };
    let name = &container.name;
    let message = format!("{} does not serve {name}, since its health check {how}.", route.gateway.name);
    let states = format!("the health of {name} is {}, after {} failures in a row", health.status, health.failing_streak);
    let mut finding = CAUSE
        .finding(Confidence::Proven, message)
        .object(&container.reference(), "State.Health")
        .states(states.clone())
        .proof(case.failing_line(), states);
    if !health.command.is_empty() {
        finding = finding.states(format!("the check is {}", health.command.join(" ")));
    }
    if let Some(line) = health.last_output.lines().map(str::trim).find(|l| !l.is_empty()) {
        finding = finding.states(format!("the check last said: {line}"));
    }
    Ok(finding
        .fix("Mend the health check, or what it finds.")
        .command(format!("docker inspect --format '{{{{json .State.Health}}}}' {name}"))
        .into())
}

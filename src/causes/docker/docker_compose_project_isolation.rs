use super::docker_different_networks::projects_apart;
use super::meant::{self, Meant};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-compose-project-isolation",
    summary: "the gateway and the container behind it belong to Compose projects with networks of their own",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::DnsFail],
    explains: &["docker-alias-typo", "docker-different-networks", "docker-gateway-exited"],
    since: "0.1.0",
    docs: r"
## What it means
Compose makes networks for each project. Two stacks, or one that was started under another project name (`-p`, a renamed folder), do not see each other.

## What you see
502 at once, or a gateway that does not start: the service's name is not found although it runs.

## How we know
The name gives no address from inside the gateway; a container of that service runs; its project is another one, and each is on networks of its own project alone.

## How to fix
Make a network outside both projects and name it in both as `external: true`; or start both under one project name.

## Looks like
`docker-different-networks` within one project, or where somebody attached networks by hand.

## Limits
Only projects of this engine are seen.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(name) = meant::unresolved(case)? else { return Ok(None) };
    let Meant::Apart(container) = name.meant else { return Ok(None) };
    let Some((own, other)) = projects_apart(name.route, container) else { return Ok(None) };
    let confidence = if name.is_certain() { Confidence::Proven } else { Confidence::Likely };
    let message = format!(
        "{} sends requests to {}, which runs in the Compose project {other}; {} is in the project {own}, and they share no network.",
        name.written(),
        name.name(),
        name.route.gateway.name
    );
    let passing = format!("{} runs in project {other}, on {}", container.name, meant::networks_of(container));
    Ok(name
        .evidence(CAUSE.finding(confidence, message))
        .object(&container.reference(), "Config.Labels[com.docker.compose.project]")
        .states(passing.clone())
        .proof(name.failing_line(), passing)
        .fix("Name one network in both projects (`networks: {edge: {external: true}}`), or start both under one project name.")
        .command("docker network create edge")
        .command(format!("docker network connect edge {}", name.route.gateway.name))
        .command(format!("docker network connect --alias {} edge {}", name.name(), container.name))
        .into())
}

use super::meant::{self, Meant};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::{DnsFailure, Outcome, Signature};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-alias-typo",
    summary: "the name in the gateway's upstream is nobody's on its networks",
    hop: Hop::Route,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Docker,
    signatures: &[Signature::DnsFail],
    explains: &["docker-gateway-exited"],
    since: "0.1.0",
    docs: r"
## What it means
A network's DNS knows containers by their names, their Compose services, their aliases and short ids. The upstream names something else: a slip, an underscore for a hyphen, a name that was changed.

## What you see
502 at once with a name that is not found, or a gateway that does not start (nginx: `host not found in upstream`).

## How we know
The name gives no address from inside the gateway, no container of its networks goes by it, and none elsewhere on this engine. Where a container's name is nearly the same, it is named.

## How to fix
Write the name that the network knows, or give the container an alias.

## Looks like
`docker-different-networks`: the name is somebody's, on another network. `docker-container-exited`: it is the name of one that has ended.

## Limits
A whole domain name may be outside this engine: it is named here only where its DNS says that it does not exist.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(name) = meant::unresolved(case)? else { return Ok(None) };
    let is_unknown = name.seen.is_none_or(|seen| seen.outcome == Outcome::NotResolved(DnsFailure::NxDomain));
    let other = match &name.meant {
        Meant::OtherName(container, other) => Some((*container, other)),
        Meant::Nobody => None,
        // A domain's own servers may be what fails.
        Meant::Outside if is_unknown => None,
        _ => return Ok(None),
    };
    let gateway = name.route.netns_owner().unwrap_or(&name.route.gateway);
    let confidence = if name.is_certain() && (gateway.has_dns() || other.is_none()) { Confidence::Proven } else { Confidence::Likely };
    let known = match other {
        Some((container, other)) => format!("{} is known there as {other}", container.name),
        None => "no container on this engine goes by it".to_owned(),
    };
    let message = format!(
        "{} sends requests to {}, a name that nobody has on {}; {known}.",
        name.written(),
        name.name(),
        meant::networks_of(gateway)
    );
    let mut finding = name.evidence(CAUSE.finding(confidence, message));
    let passing = match other {
        Some((container, other)) => {
            finding = finding.object(&container.reference(), "NetworkSettings.Networks");
            format!("{} has the names {}", container.name, names(name.route, container, other))
        }
        None => format!("the names on {} are {}", meant::networks_of(gateway), all_names(name.route)),
    };
    finding = finding.states(passing.clone()).proof(name.failing_line(), passing);
    Ok(match other {
        Some((_, other)) => finding.fix(format!("Write {other} in place of {} at {}.", name.name(), name.server.server.place)),
        None => finding.fix("Write a name that the network knows, or start the container that is meant with that name as an alias."),
    }
    .command(format!("docker network inspect {}", gateway.attachments.first().map_or("NETWORK", |a| a.network.as_str())))
    .into())
}

fn names(route: &crate::path::ContainerRoute, container: &crate::snapshot::objects::docker::Container, first: &str) -> String {
    let shared = container.attachments.iter().filter(|a| route.gateway.attachment(&a.network).is_some());
    let mut names: Vec<&str> = shared.flat_map(|a| &a.names).map(String::as_str).collect();
    names.sort_by_key(|n| *n != first);
    names.dedup();
    names.into_iter().take(MOST).collect::<Vec<_>>().join(", ")
}

/// Names shown at most.
const MOST: usize = 8;

fn all_names(route: &crate::path::ContainerRoute) -> String {
    let gateway = route.netns_owner().unwrap_or(&route.gateway);
    let others = route.host.containers.iter().filter(|c| c.runs() && c.id != gateway.id);
    let places = others.flat_map(|c| &c.attachments).filter(|a| gateway.attachment(&a.network).is_some());
    let mut names: Vec<&str> = places.filter_map(|a| a.names.first()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { "none".into() } else { names.into_iter().take(MOST).collect::<Vec<_>>().join(", ") }
}

use std::net::IpAddr;
use std::sync::Arc;

use super::meant;
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndToEnd, EndpointView, Judgement, Missing, Platform, When};
use crate::path::{Leads, ServerPath};
use crate::probe::{Observation, Signature};
use crate::snapshot::objects::docker::Container;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "docker-network-alias-collision",
    summary: "the name in the gateway's upstream belongs to containers of different projects",
    hop: Hop::Route,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Docker,
    signatures: &[Signature::Refused, Signature::Relayed],
    explains: &["docker-app-binds-loopback", "docker-published-vs-container-port", "docker-upstream-port-wrong"],
    since: "0.1.0",
    docs: r"
## What it means
Compose gives every container its service's name on every network that it joins. Two projects with a service `web` on one shared network both go by `web` there, and the network's DNS gives both addresses.

## What you see
Right and wrong answers by turns, or a share of 502: it looks like an application that fails now and then.

## How we know
The name leads to running containers of different projects. Those of one fail, or answer with another status each time they are asked, and those of the other do not.

## How to fix
Name the one that is meant by a name that only it has (its container's name, or an alias of its own), and keep generic names off shared networks.

## Looks like
Replicas of one service share its name rightly: one of them that fails is its own fault. Two services of one project that share an alias are taken for intended.

## Limits
A route that works is never judged by the text of its answers, only by their status: two projects of the same software may share a name on purpose.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(route) = case.path.container.as_deref().filter(|r| r.gateway.runs()) else { return Ok(None) };
    let Some((server, found)) = route.servers.iter().find_map(|s| Some((s, collision(s)?))) else { return Ok(None) };
    let views: Vec<_> = case.walked()?.into_iter().filter(|v| found.iter().any(|(_, ip)| *ip == v.endpoint.address)).collect();
    let Some((one, other)) = differ(case, &views)? else { return Ok(None) };
    let (Some(wrong), Some(right)) = (one.endpoint.container.as_ref(), other.endpoint.container.as_ref()) else { return Ok(None) };
    let same_software = repository(&wrong.image) == repository(&right.image);
    let confidence = if same_software { Confidence::Likely } else { Confidence::Proven };
    let whose = |c: &Container| c.project().map_or_else(|| "no project".to_owned(), |p| format!("project {p}"));
    let message = format!(
        "{} sends requests to {}, a name that leads to both {} of {} and {} of {}.",
        meant::written(route, server),
        server.server.host,
        right.name,
        whose(right),
        wrong.name,
        whose(wrong)
    );
    // Where every request is answered, a share of the answers is wrong.
    let severity = if *case.end_to_end == EndToEnd::Works { Severity::Warning } else { Severity::Error };
    Ok(CAUSE
        .finding(confidence, message)
        .severity(severity)
        .object(&route.gateway.reference(), &server.server.place.to_string())
        .object(&wrong.reference(), "NetworkSettings.Networks")
        .object(&right.reference(), "NetworkSettings.Networks")
        .saw(one.seen)
        .saw(other.seen)
        .proof(format!("{} ({})", one.seen, wrong.name), format!("{} ({})", other.seen, right.name))
        .fix(format!(
            "Write the name of the one that is meant in place of {} at {}, such as {}; or take the other one off the network.",
            server.server.host, server.server.place, right.name
        ))
        .into())
}

/// The containers that a name leads to, where they belong to different projects, or to none and are of different software.
fn collision(server: &ServerPath) -> Option<&[(Arc<Container>, IpAddr)]> {
    let Leads::Containers(found) = &server.leads else { return None };
    let (first, rest) = found.split_first()?;
    let is_other = |c: &Container| match (c.project(), first.0.project()) {
        (None, None) => repository(&c.image) != repository(&first.0.image),
        (one, other) => one != other,
    };
    (!server.is_address() && rest.iter().any(|(c, _)| is_other(c))).then_some(found)
}

/// A container that answers another way than one of another project: it fails, or it gives another status each of two times.
fn differ<'a>(case: &Case<'a>, views: &[EndpointView<'a>]) -> Result<Option<(EndpointView<'a>, EndpointView<'a>)>, Missing> {
    let group = |v: &EndpointView<'a>| {
        v.endpoint
            .container
            .as_ref()
            .map(|c| (c.project().map(str::to_owned), c.project().is_none().then(|| repository(&c.image).to_owned())))
    };
    let fails = |v: &EndpointView<'a>| v.seen.signature().is_some();
    let whole = |v: &EndpointView<'a>| views.iter().filter(|w| group(w) == group(v)).all(|w| fails(w) == fails(v));
    let well = views.iter().find(|v| !fails(v) && whole(v));
    let ill = views.iter().find(|v| fails(v) && whole(v));
    if let (Some(ill), Some(well)) = (ill, well) {
        return Ok((group(ill) != group(well)).then_some((*ill, *well)));
    }
    let status = |o: &Observation| o.response().map(|r| r.status);
    // Whichever of both is meant, the better answer is shown as the right one.
    let mut answered: Vec<_> = views.iter().filter(|v| status(v.seen).is_some()).collect();
    answered.sort_by_key(|v| status(v.seen));
    let (Some(right), Some(wrong)) = (answered.first(), answered.last()) else { return Ok(None) };
    let software = |v: &EndpointView<'a>| v.endpoint.container.as_ref().map(|c| repository(&c.image).to_owned());
    if group(right) == group(wrong) || status(right.seen) == status(wrong.seen) || software(right) == software(wrong) {
        return Ok(None);
    }
    let again = case.ask_all([right, wrong].map(|v| v.seen.probe.again(1)).to_vec())?;
    let stays = |v: &EndpointView<'a>| again.iter().any(|o| o.probe.question == v.seen.probe.question && status(o) == status(v.seen));
    Ok((stays(right) && stays(wrong)).then_some((**wrong, **right)))
}

/// An image without its tag and digest: containers of one repository run the same software.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, EndToEnd, FindingBuilder, Judgement, Missing, Platform, When};
use crate::path::Implementation;
use crate::probe::{Observation, Signature};
use crate::snapshot::objects::Ingress;

use super::hosts;
use super::rivals::DEFAULT_BACKEND;
use super::unserved::{self, Unserved};
use super::why::{self, Why};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "route-host-mismatch",
    summary: "the gateway knows no route for the host that is asked for",
    hop: Hop::Route,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Kubernetes,
    signatures: &[Signature::NoRoute],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
A gateway picks a route by the request's host, letter by letter. Here no route of the gateway has this host: it is written differently in
the rule, in the TLS entry or in the gateway's own configuration, or it is served at another entrance of the gateway only.

## What you see
The gateway's own page for unknown hosts: 404 on Traefik, nginx and Envoy, 503 on HAProxy, a blank 200 on Caddy. Pods and Service are in
order.

## How we know
The gateway answers the host exactly as it answers a host that cannot exist, and the route's own endpoints answer otherwise. Then the same
request is sent with what may have been meant: without TLS or with it, the names of the TLS entries, with or without `www.`. Where the
rule's host works and a TLS entry names nearly the same host that no rule has, it is a warning.

## How to fix
Write the host that clients ask for into `spec.rules[].host`, and the same into `spec.tls[].hosts`. On Traefik a route is served over TLS
where its entry point or the annotation `router.tls` says so. A wildcard stands for exactly one label.

## Looks like
`ingress-class-missing`: no gateway reads the Ingress at all. `route-path-mismatch`: the host is known, the path is not. An empty backend
gives the same 503 on HAProxy and the same 404 on Traefik; here the endpoints are ready and answer.

## Limits
The gateway's own configuration is not read. Where nothing shows which host was meant, a gateway that has not taken up the Ingress looks
the same, and the finding is no more than possible. Where a gateway answers its own errors with the same page, nothing is said.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let Some(ingress) = unserved::ingress_of(case)?.filter(|_| case.path.route.field != DEFAULT_BACKEND) else { return Ok(None) };
    let works = *case.end_to_end == EndToEnd::Works;
    if let Some((host, why)) = case.path.route.host.as_deref().filter(|_| !works).and_then(|h| hosts::impossible(h).map(|why| (h, why))) {
        return Ok(never_asked_for(case, host, why).into());
    }
    if let Some(unserved) = unserved::of(case, &ingress)? {
        return of(case, &ingress, &unserved);
    }
    if works { written_otherwise(case, &ingress) } else { Ok(None) }
}

fn of(case: &Case<'_>, ingress: &Ingress, unserved: &Unserved<'_>) -> Judgement {
    let host = case.path.route.asked_host().unwrap_or_else(|| "requests for any host".into());
    Ok(match why::of(case, ingress, unserved)? {
        found if found.is_path() => return Ok(None),
        Why::OtherEntrance(seen) => other_entrance(case, &host, unserved, seen),
        Why::PlainRouter => plain_router(case, &host, unserved),
        Why::EntryPoint(names) => entry_point(case, &host, unserved, &names),
        Why::OtherName(other, seen) => {
            begin(case, Confidence::Proven, format!("The gateway serves {other}, not {host}, which {} names.", case.target()), unserved)
                .object(case.target(), &hosts::field(case))
                .saw(seen)
                .proof(unserved.answer.to_string(), seen.to_string())
                .fix(format!("Write one and the same host into the rule and into the gateway's configuration: {host} or {other}."))
                .command(hosts::edit(case))
        }
        // Where the page for unknown hosts is an error, an empty backend gets the same.
        _ if unserved.answer.response().is_some_and(|r| r.status >= 500) => {
            return Err(Missing::Fact("the gateway's page for unknown hosts is also what it shows where it has nobody to call".into()));
        }
        _ => {
            let message =
                format!("The gateway knows no route for {host}, which {} names: it answers as for a host that nobody has.", case.target());
            begin(case, Confidence::Possible, message, unserved)
                .object(case.target(), &hosts::field(case))
                .proof(unserved.answer.to_string(), format!("{}, the route's own endpoint", unserved.direct))
                .fix(meant(case, ingress, &host))
                .command(hosts::edit(case))
        }
    }
    .into())
}

fn begin(case: &Case<'_>, confidence: Confidence, message: String, unserved: &Unserved<'_>) -> FindingBuilder {
    let finding = CAUSE.finding(confidence, message).saw(unserved.answer).saw(unserved.reference).saw(unserved.direct);
    match &case.path.gateway.known() {
        Some(g) => finding.states(format!("the gateway is {} behind Service {}", g.implementation, g.service.meta.key())),
        None => finding,
    }
}

fn is_traefik(case: &Case<'_>) -> bool {
    case.path.gateway.known().is_some_and(|g| g.implementation == Implementation::Traefik)
}

fn other_entrance(case: &Case<'_>, host: &str, unserved: &Unserved<'_>, seen: &Observation) -> FindingBuilder {
    let over_tls = unserved.answer.response().is_some_and(|r| r.tls.is_some());
    let message = match over_tls {
        true => format!("{} wants {host} over TLS, and the gateway serves it without TLS only.", case.target()),
        false => format!("The gateway serves {host} over TLS only, and {} does not ask for TLS.", case.target()),
    };
    let finding = begin(case, Confidence::Proven, message, unserved).saw(seen).proof(unserved.answer.to_string(), seen.to_string());
    match (over_tls, is_traefik(case)) {
        (true, true) => with_traefiks_tls(case, finding),
        (true, false) => finding
            .object(case.target(), "spec.tls")
            .fix("Let the gateway serve the host at its TLS port, or take the host out of spec.tls.")
            .command(hosts::edit(case)),
        (false, _) => finding
            .object(case.target(), "spec.tls")
            .fix("Name the host in spec.tls, or let the gateway serve it without TLS as well.")
            .command(hosts::edit(case)),
    }
}

fn plain_router(case: &Case<'_>, host: &str, unserved: &Unserved<'_>) -> FindingBuilder {
    let neither = format!("neither an annotation of {} nor the gateway's arguments give the route TLS", case.target());
    let message = format!("Traefik serves {host} without TLS only, and clients come over TLS: {neither}.");
    with_traefiks_tls(case, begin(case, Confidence::Likely, message, unserved).states(&neither).proof(unserved.answer.to_string(), neither))
}

fn with_traefiks_tls(case: &Case<'_>, finding: FindingBuilder) -> FindingBuilder {
    let (namespace, name) = (case.namespace(), &case.target().key.name);
    finding
        .object(case.target(), "metadata.annotations")
        .fix("Let Traefik serve the route over TLS, here or for the whole entry point (--entrypoints.websecure.http.tls=true).")
        .command(format!("kubectl -n {namespace} annotate ingress {name} traefik.ingress.kubernetes.io/router.tls=true"))
}

fn entry_point(case: &Case<'_>, host: &str, unserved: &Unserved<'_>, names: &str) -> FindingBuilder {
    let (namespace, name) = (case.namespace(), &case.target().key.name);
    let message =
        format!("{} asks for the entry point {names}, which its gateway does not have, so {host} is served nowhere.", case.target());
    begin(case, Confidence::Proven, message, unserved)
        .object(case.target(), "metadata.annotations[traefik.ingress.kubernetes.io/router.entrypoints]")
        .proof(unserved.answer.to_string(), format!("the gateway's arguments define no entry point {names}"))
        .fix("Name an entry point that the gateway has, or none.")
        .command(format!("kubectl -n {namespace} annotate ingress {name} traefik.ingress.kubernetes.io/router.entrypoints-"))
}

/// What may have been meant, where a host of the namespace is nearly the same.
fn meant(case: &Case<'_>, ingress: &Ingress, host: &str) -> String {
    let others = case.snapshot.ingresses().filter(|i| i.meta.namespace == ingress.meta.namespace);
    let names = others.flat_map(|i| i.rules.iter().filter_map(|r| r.host.clone()).chain(i.tls.iter().flat_map(|t| t.hosts.clone())));
    let near = names.filter(|n| n != host).map(|n| (strsim::osa_distance(&n, host), n)).filter(|(distance, _)| *distance <= 2).min();
    let check = "see in its log and its configuration whether it has taken up the Ingress, and under which host.";
    near.map_or_else(
        || format!("Compare the host with the gateway's own: {check}"),
        |(_, name)| format!("Did you mean {name}? Else {check}"),
    )
}

fn never_asked_for(case: &Case<'_>, host: &str, why: &str) -> FindingBuilder {
    let written = format!("{} has {}: {host}", case.target(), hosts::field(case));
    let confidence = if case.online { Confidence::Proven } else { Confidence::Likely };
    CAUSE
        .finding(confidence, format!("No request is ever for {host}, which {} names as its host: {why}.", case.target()))
        .object(case.target(), &hosts::field(case))
        .states(&written)
        .proof(case.failing_line(), format!("{written}; {why}"))
        .fix("Write the host alone: small letters, no port, at most one `*.` in front.")
        .command(hosts::edit(case))
}

/// The rule's host works, and the TLS entry names nearly the same one, which nobody serves.
fn written_otherwise(case: &Case<'_>, ingress: &Ingress) -> Judgement {
    let Some(host) = case.path.route.host.as_deref().filter(|h| !h.starts_with("*.")) else { return Ok(None) };
    let near = |name: &&String| name.as_str() != host && !name.starts_with("*.") && strsim::osa_distance(name, host) <= 2;
    let named = ingress.tls.iter().enumerate().flat_map(|(i, t)| t.hosts.iter().map(move |h| (i, h)));
    let Some((index, other)) = named.into_iter().find(|(_, h)| near(h)) else { return Ok(None) };
    // What has no host takes requests for every name.
    let no_host = |i: &Ingress| i.default_backend.is_some() || i.rules.iter().any(|r| r.host.is_none());
    let catches_all = || case.snapshot.ingresses().any(|i| i.class == ingress.class && no_host(i));
    if ingress.tls.iter().any(|t| t.names(host)) || unserved::has_rule(case, other) || catches_all() {
        return Ok(None);
    }
    let Some(works) = case.successes.first() else { return Ok(None) };
    let probe = |change: &dyn Fn(&mut crate::probe::Request)| unserved::like(works, change).map(|p| unserved::with_limit(case, p));
    let (Some(asked), Some(nobody)) = (probe(&|r| unserved::rename(r, other)), probe(&|r| unserved::stranger(r))) else { return Ok(None) };
    case.ask_all(vec![asked.clone(), nobody.clone()])?;
    let (asked, nobody) = (case.ask(asked)?, case.ask(nobody)?);
    if !asked.response().zip(nobody.response()).is_some_and(|(a, b)| unserved::same_page(a, b)) {
        return Ok(None);
    }
    let entry = format!("{} has spec.tls[{index}].hosts with {other} and no rule for it", case.target());
    Ok(CAUSE
        .finding(
            Confidence::Proven,
            format!("{} serves {host}, and its TLS entry names {other}, which no rule has and the gateway does not know.", case.target()),
        )
        .severity(Severity::Warning)
        .object(case.target(), &hosts::field(case))
        .object(case.target(), &format!("spec.tls[{index}].hosts"))
        .states(entry)
        .saw(nobody)
        .proof(asked.to_string(), works.to_string())
        .fix(format!("Write one and the same host into rule and TLS entry: {host} or {other}."))
        .command(hosts::edit(case))
        .into())
}

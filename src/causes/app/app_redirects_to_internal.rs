use std::net::IpAddr;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::redirect::Url;
use crate::causes::remedy::Change;
use crate::causes::upstream::Rewritten;
use crate::causes::{Case, Cause, EndToEnd, Judgement, Missing, Platform, When, known, upstream};
use crate::path::{Gateway, dns};
use crate::probe::{Observation, Signature};
use crate::snapshot::objects::ServiceType;
use crate::snapshot::objects::docker::Container;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "app-redirects-to-internal",
    summary: "the application redirects clients to an address that only the cluster knows",
    hop: Hop::Application,
    severity: Severity::Error,
    when: When::Always,
    platform: Platform::Everywhere,
    signatures: &[Signature::Relayed],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The Location of a redirect names a Service, a pod, a bare host name, localhost, or the route's host with the application's own port. Clients
outside follow it and end nowhere.

## What you see
A 3xx, which counts as success everywhere; then the browser cannot resolve or connect.

## How we know
The Location header of the answer that clients get. The pods, asked directly, send the same.

## How to fix
Let the application build URLs from X-Forwarded-Host, -Proto and -Port, give it its public base URL, or let it redirect to paths. Let the gateway
pass the client's Host.

## Looks like
A redirect to https, to a path, or to another public host such as an identity provider, which is at work.

## Limits
Only the answer to the route's own path is looked at. Addresses that no object of the cluster has may be reachable for clients, and are left alone.
Where clients are inside themselves, by a host that only the cluster knows, nothing is said.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let redirects = |o: &&Observation| o.response().is_some_and(|r| Url::asked(o).and_then(|u| u.redirect_of(r)).is_some());
    let Some(answer) = case.answers().find(redirects) else {
        return match case.end_to_end {
            EndToEnd::NotAsked(why) => Err(Missing::Fact(format!("the route was not asked: {why}"))),
            _ => Ok(None),
        };
    };
    let Some((to, what, confidence)) = internal(case, answer)? else { return Ok(None) };
    let direct = direct(case, answer)?;
    let same = direct.filter(|d| Url::asked(answer).zip(d.response()).and_then(|(u, r)| u.redirect_of(r)).as_ref() == Some(&to));
    let message = format!("The application behind {} redirects clients to {to}: {what}.", case.backend_name());
    let location = answer.response().and_then(|r| r.header("location")).unwrap_or_default();
    let passing = match same {
        Some(direct) => format!("{direct} to {location}, asked directly"),
        None => format!("{to} is {what}"),
    };
    // Where the pods do not send it to a client with the route's host, the gateway has them see another one, or redirects itself.
    let confidence = if same.is_some() { confidence } else { confidence.max(Confidence::Likely) };
    let mut finding = CAUSE.finding(confidence, message).saw(answer).proof(format!("{answer} to {location}"), passing);
    if let Some(direct) = same {
        finding = finding.saw(direct);
    }
    finding = finding.backend(case, "");
    let rewritten = answer.probe.address().and_then(|a| upstream::rewritten_host(case, a));
    let fix = match &rewritten {
        Some(rewritten) if case.path.container.is_some() => Change::PassHost(rewritten).at(case).summary,
        Some(Rewritten { by, setting, .. }) => format!("Let the gateway pass the client's Host: take {setting} of {by} away."),
        None => "Let the application redirect to paths, or build URLs from its public base URL or the X-Forwarded headers.".into(),
    };
    let host = case.path.route.asked_host().unwrap_or_default();
    let (scheme, path) = (if case.path.route.tls { "https" } else { "http" }, case.path.route.asked_path());
    let finding = finding.fix(fix);
    Ok(match host.is_empty() && case.path.container.is_some() {
        true => finding,
        false => finding.command(format!("curl -sI {scheme}://{host}{path} | grep -i ^location")),
    }
    .into())
}

/// The pods' own answer to the same request, where there is a pod that can be asked.
fn direct<'a>(case: &Case<'a>, answer: &Observation) -> Result<Option<&'a Observation>, Missing> {
    let Some(to) = case.path.backend.ready_endpoints().next().and_then(|e| e.socket()) else { return Ok(None) };
    let Some(mut probe) = case.same_request(answer, to, case.path.backend.scheme) else { return Ok(None) };
    if let (Some(_), Some(request)) = (&case.path.container, probe.request_mut()) {
        // What the application is told of itself is what its gateway sends.
        request.host = case.path.host_for(to);
    }
    match case.ask(probe) {
        Ok(seen) => Ok(Some(seen)),
        Err(Missing::Fact(_)) => Ok(None),
        Err(probes) => Err(probes),
    }
}

/// Where a redirect leads that clients cannot follow, what that is, and how sure it is.
fn internal(case: &Case<'_>, answer: &Observation) -> Result<Option<(Url, String, Confidence)>, Missing> {
    let Some(asked) = Url::asked(answer) else { return Ok(None) };
    let Some(to) = answer.response().and_then(|r| asked.redirect_of(r)) else { return Ok(None) };
    // Clients that come by such a name are inside themselves, or on the machine that the cluster runs on.
    if is_inner_name(&asked.host) || is_bare(&asked.host) || asked.host.ends_with(".localhost") {
        return Ok(None);
    }
    let (what, confidence) = if to.host == asked.host {
        let Some(found) = own_port(case, &to, &asked) else { return Ok(None) };
        found
    } else if let Some(ip) = to.host.parse::<IpAddr>().ok().filter(|ip| !ip.is_loopback() || !is_near(case, to.port)) {
        let Some(what) = address(case, ip)? else { return Ok(None) };
        (what, Confidence::Proven)
    } else if is_inner_name(&to.host) {
        ("a name of the cluster".to_owned(), Confidence::Proven)
    } else if is_local(&to.host) && is_near(case, to.port) {
        return Ok(None);
    } else if to.host == "localhost" || to.host.ends_with(".localhost") {
        ("the client's own machine".to_owned(), Confidence::Proven)
    } else if is_bare(&to.host) {
        let known = is_known(case, &to.host);
        let of = if case.path.container.is_some() { "a name that only containers know" } else { "a name of the cluster" };
        let what = if known { of } else { "a host name without a domain" };
        (what.to_owned(), if known { Confidence::Proven } else { Confidence::Likely })
    } else {
        return Ok(None);
    };
    Ok(Some((to, what, confidence)))
}

fn is_inner_name(host: &str) -> bool {
    host.ends_with(".cluster.local") || dns::service_named(host).is_some() || host.ends_with(".svc")
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether an engine publishes a port on its host.
fn is_published(case: &Case<'_>, port: u16) -> bool {
    let containers = case.path.container.iter().flat_map(|route| &route.host.containers);
    containers.flat_map(|c| &c.published).any(|p| p.host_port == port)
}

/// Whether clients of an engine's containers may well find something at a port of their own machine, which is the engine's host where somebody
/// tries things out: it is published there, or the route is for whatever host they come by.
fn is_near(case: &Case<'_>, port: u16) -> bool {
    case.path.container.is_some() && (case.path.route.host.is_none() || is_published(case, port))
}

fn is_bare(host: &str) -> bool {
    !host.contains('.') && host.parse::<IpAddr>().is_err()
}

/// Whether a bare name is that of a Service, pod or workload beside the route.
fn is_known(case: &Case<'_>, name: &str) -> bool {
    if let Some(route) = &case.path.container {
        let has = |c: &Container| c.name == *name || c.attachments.iter().flat_map(|a| &a.names).any(|n| n.eq_ignore_ascii_case(name));
        return route.host.containers.iter().any(|c| has(c));
    }
    let (snapshot, namespace) = (case.snapshot, case.namespace());
    snapshot.services_in(namespace).any(|s| s.meta.name == name)
        || snapshot.pods_in(namespace).any(|p| p.meta.name == name)
        || snapshot.workloads_in(namespace).any(|w| w.meta.name == name)
}

/// What an address of the cluster is; nothing for those that clients may reach.
fn address(case: &Case<'_>, ip: IpAddr) -> Result<Option<String>, Missing> {
    let ip = ip.to_canonical();
    if ip.is_loopback() || ip.is_unspecified() {
        return Ok(Some("the client's own machine".into()));
    }
    if let Some(route) = &case.path.container {
        return Ok(route
            .host
            .owner_of(ip)
            .map(|owner| format!("the address of {}, which only its engine's host reaches", owner.reference())));
    }
    if let Some(service) = case.snapshot.services().find(|s| s.cluster_ips.contains(&ip)) {
        return Ok(Some(format!("the cluster address of Service/{}", service.meta.key())));
    }
    let pods = case.snapshot.pods_at(ip);
    let pod = known(&pods, "whose address a redirect leads to")?.and_then(|pods| pods.iter().find(|p| !p.host_network));
    Ok(pod.map(|p| format!("the address of {}", p.reference())))
}

/// The route's own host with the application's port, where the gateway does not listen on it.
fn own_port(case: &Case<'_>, to: &Url, asked: &Url) -> Option<(String, Confidence)> {
    case.path.route.host.as_ref()?;
    let gateway = case.path.gateway.known()?;
    if to.port == asked.port || matches!(to.port, 80 | 443) || is_open(gateway, to.port) || is_published(case, to.port) {
        return None;
    }
    let endpoint = case.path.backend.endpoints.iter().any(|e| e.port == Some(to.port));
    let service = case.path.backend.port.known().is_some_and(|p| p.port == to.port);
    // Any other port may be one that a load balancer before the gateway has.
    (endpoint || service).then(|| (format!("port {} is the application's, and the gateway does not have it", to.port), Confidence::Likely))
}

/// Whether clients may reach a port of the gateway.
fn is_open(gateway: &Gateway, port: u16) -> bool {
    let service = gateway.service.service_type != ServiceType::ExternalName
        && gateway.service.ports.iter().any(|p| p.port == port || p.node_port == Some(port));
    let on_node = gateway
        .pods
        .iter()
        .any(|pod| pod.containers.iter().flat_map(|c| &c.ports).any(|p| p.host_port == Some(port) || (pod.host_network && p.port == port)));
    service || on_node
}

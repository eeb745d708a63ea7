use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, FindingBuilder, Judgement, Missing, Platform, When, known, ports};
use crate::fact::Fact;
use crate::path::policy;
use crate::path::{Entrance, Gateway, traefik};
use crate::probe::{Observation, Outcome, Probe, Scheme, Signature};
use crate::snapshot::objects::{Kind, ObjectRef, Pod, PortRef, ServicePort};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "gateway-listener-port-missing",
    summary: "the gateway's Service sends to a port on which its pods do not listen",
    hop: Hop::Gateway,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::Refused],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The gateway's pods are ready, and nothing listens on the port that their Service sends clients to: the entry point or listener is missing,
has another port, or the Service names a port that the pods do not have.

## What you see
Connection refused at once, on every route of this gateway, while its pods show `1/1 Running`. Its access log is silent.

## How we know
A connect to the gateway pod at the Service's target port is refused, and another port of the same pod accepts; where the route's own
request is answered there, it is proven. Or the EndpointSlices list ready pods without a port, since the target port's name is in none of
them.

## How to fix
Write the port on which the gateway listens into the Service's `targetPort`, or add the listener to the gateway.

## Looks like
`gateway-pod-down`: no pod is ready. `svc-targetport-wrong` is the same between the gateway and the application.

## Limits
On the host's network only declared ports are tried. Where no port of the pod accepts, it may listen on loopback, or a policy may refuse;
then nothing is said.
",
    check,
};

/// Ports that gateways listen on where nobody tells them otherwise, and those of their health checks.
const COMMON: &[u16] = &[80, 443, 8000, 8080, 8443, 10254, 1024, 9000, 19000];

fn check(case: &Case<'_>) -> Judgement {
    let Some(gateway) = case.gateway()? else { return Ok(None) };
    if gateway.entrances_unknown.is_some() || gateway.is_asked_at_service() {
        return Ok(None);
    }
    if gateway.entrances.is_empty() {
        return without_port(case, gateway);
    }
    let refused = |o: &&&Observation| o.signature() == Some(Signature::Refused);
    let Some(first) = case.failures.first() else {
        return match case.end_to_end {
            crate::causes::EndToEnd::NotAsked(why) => Err(Missing::Fact(format!("the gateway was not asked: {why}"))),
            _ => Ok(None),
        };
    };
    if !case.successes.is_empty() || !case.failures.iter().all(|o| refused(&o)) {
        return Ok(None);
    }
    let Some(entrance) = gateway.entrances.iter().find(|e| Some(e.address) == first.probe.address()) else { return Ok(None) };
    let pod = gateway.pods.iter().find(|p| Some(p.reference()) == entrance.pod && p.is_ready() && !p.meta.deleting);
    // Whose address it is, and whether that pod is well, is another question.
    let Some(pod) = pod else { return Ok(None) };
    if ports::settles(pod, first) {
        return Err(Missing::Fact("the gateway's pod has only just started".into()));
    }
    let Some((other, answer)) = elsewhere(case, gateway, pod, entrance, first)? else {
        return Err(Missing::Fact(format!(
            "no port of {} accepts a connection, so its listener is not all that is missing",
            pod.reference()
        )));
    };
    let policies = case.snapshot.policies_in(&pod.meta.namespace);
    let open = policy::may_keep_out(case.snapshot, &policies, pod) == Fact::Known(false);
    if !open && !serves(answer) {
        return Err(Missing::Fact(format!("a NetworkPolicy may select {} and be what refuses", pod.reference())));
    }
    let found = Found { gateway, pod, entrance, refused: first, other, answer, open };
    Ok(finding(&found).into())
}

/// Another port of the pod that accepts, and what it answers to the route's request; one that serves it before the others.
fn elsewhere<'a>(
    case: &Case<'a>,
    gateway: &Gateway,
    pod: &Pod,
    entrance: &Entrance,
    first: &Observation,
) -> Result<Option<(u16, &'a Observation)>, Missing> {
    let ip = entrance.address.ip();
    let declared = ports::declared(pod).map(|(port, _)| port);
    let told = traefik::defined(gateway).into_values();
    let usual = COMMON.iter().copied().filter(|_| !pod.host_network);
    let known: BTreeSet<u16> = declared.chain(told).chain(usual).filter(|p| *p != entrance.address.port()).collect();
    let at = |port: u16| SocketAddr::new(ip, port);
    case.ask_all(known.iter().map(|p| case.connect_to(at(*p))).collect())?;
    let connects = |port: &&u16| case.seen.get(&case.connect_to(at(**port))).is_some_and(|o| o.outcome == Outcome::Connected);
    let request =
        |port: u16| -> Option<Probe> { case.same_request(first, at(port), if entrance.tls { Scheme::Https } else { Scheme::Http }) };
    let accepting: Vec<(u16, Probe)> = known.iter().filter(connects).filter_map(|p| request(*p).map(|r| (*p, r))).collect();
    if accepting.is_empty() {
        return Ok(None);
    }
    case.ask_all(accepting.iter().map(|(_, r)| r.clone()).collect())?;
    let seen = accepting.into_iter().filter_map(|(port, request)| Some((port, case.seen.get(&request)?)));
    Ok(seen.min_by_key(|(port, o)| (!serves(o), *port)))
}

/// Whether a port answers as a gateway does for a route that it has.
fn serves(seen: &Observation) -> bool {
    seen.response().is_some_and(|r| matches!(r.status, 200..=399 | 401 | 403))
}

/// What was found out about a pod whose port refuses.
struct Found<'a> {
    gateway: &'a Gateway,
    pod: &'a Arc<Pod>,
    entrance: &'a Entrance,
    refused: &'a Observation,
    other: u16,
    answer: &'a Observation,
    /// Whether no policy selects the pod.
    open: bool,
}

fn finding(found: &Found<'_>) -> FindingBuilder {
    let Found { gateway, pod, entrance, refused: first, other, answer, open } = found;
    let service = ObjectRef { kind: Kind::Service, key: gateway.service.meta.key() };
    let index = gateway.service.ports.iter().position(|p| p.name.as_deref().unwrap_or_default() == entrance.port).unwrap_or_default();
    let port = gateway.service.ports.get(index).map_or(0, |p| p.port);
    let (confidence, there) = match serves(answer) {
        true => (if *open { Confidence::Proven } else { Confidence::Likely }, format!("port {other} serves the route")),
        false => (Confidence::Likely, format!("port {other} of the same pod accepts")),
    };
    let target = entrance.address.port();
    let mut finding = CAUSE
        .finding(
            confidence,
            format!("Gateway Service {} sends port {port} to port {target} of its pods, where nothing listens; {there}.", service.key),
        )
        .object(&service, &format!("spec.ports[{index}].targetPort"))
        .object(&pod.reference(), "spec.containers")
        .saw(first)
        .saw(answer)
        .proof(first.to_string(), answer.to_string());
    if serves(answer) {
        let patch = format!("[{{\"op\":\"replace\",\"path\":\"/spec/ports/{index}/targetPort\",\"value\":{other}}}]");
        finding = finding
            .fix(format!("Send the Service's port {port} to port {other}, or let the gateway listen on {target}."))
            .command(format!("kubectl -n {} patch service {} --type json -p '{patch}'", service.key.namespace, service.key.name));
    } else {
        finding = finding.fix(format!("Let the gateway listen on {target}, or send the Service's port {port} to where it listens."));
    }
    finding.command(format!("kubectl -n {} exec {} -- cat /proc/net/tcp /proc/net/tcp6", pod.meta.namespace, pod.meta.name))
}

/// Ready pods, and none of them with a port for clients.
fn without_port(case: &Case<'_>, gateway: &Gateway) -> Judgement {
    let key = gateway.service.meta.key();
    let slices = case.snapshot.slices_of(&key);
    let Some(slices) = known(&slices, "the gateway's EndpointSlices")? else { return Ok(None) };
    let ready = slices.iter().flat_map(|s| &s.endpoints).any(|e| e.ready.unwrap_or(true));
    let declared: BTreeSet<String> =
        gateway.pods.iter().flat_map(|p| &p.containers).flat_map(|c| &c.ports).filter_map(|p| p.name.clone()).collect();
    let named = |p: &ServicePort| match &p.target {
        PortRef::Name(name) => (!declared.contains(name)).then(|| name.clone()),
        PortRef::Number(_) => None,
    };
    let missing = gateway.service.ports.iter().enumerate().find_map(|(i, p)| named(p).map(|name| (i, p.port, name)));
    let Some((index, port, name)) = missing.filter(|_| ready && !gateway.pods.is_empty()) else { return Ok(None) };
    let service = ObjectRef { kind: Kind::Service, key };
    let has = if declared.is_empty() { "no named port".to_owned() } else { declared.into_iter().collect::<Vec<_>>().join(", ") };
    let lists = format!("the EndpointSlices of Service {} list ready pods and no port for clients", service.key);
    Ok(CAUSE
        .finding(
            Confidence::Proven,
            format!(
                "Gateway Service {} sends port {port} to the port named {name}, which its pods do not have; they have {has}.",
                service.key
            ),
        )
        .object(&service, &format!("spec.ports[{index}].targetPort"))
        .states(&lists)
        .proof(case.failing_line(), lists)
        .fix(format!("Name a port that the gateway's pods declare, or its number: they have {has}."))
        .command(format!("kubectl -n {} edit service {}", service.key.namespace, service.key.name))
        .into())
}

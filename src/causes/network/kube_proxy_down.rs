use std::net::SocketAddr;
use std::sync::Arc;

use super::policies;
use super::translation::{self, AtNode, Leads};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, FindingBuilder, Judgement, Missing, Platform, When, line_from};
use crate::path::Dials;
use crate::probe::{Observation, Outcome, Probe, Signature};
use crate::snapshot::objects::{Kind, ObjectRef, Pod, Workload};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "kube-proxy-down",
    summary: "the Service's address does not lead to its endpoints: kube-proxy is down, or its rules are stale",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout, Signature::Refused, Signature::NetUnreach],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The gateway dials the address of the Service, which each node turns into one of an endpoint. On the gateway's node nobody does, or does it for a Service as it was some time ago.

## What you see
A time-out for Services that are new or have changed, while older ones work. Gateways that dial endpoints, as most do by default, see nothing of it. Names may fail to resolve on
that node, since the DNS Service has such an address too.

## How we know
Where agents run, each of the gateway's nodes is asked from (up to four): on one the Service's address leads to nobody though all endpoints answer there, and its kube-proxy is not ready,
or no other Service's address works there while another node leads to the endpoints. Else: the gateway is told to dial the Service's address, its requests fail, and all endpoints answer the same request directly. The Service's address does not connect, while that of
another Service does; or a kube-proxy pod of the gateway's node is not ready.

## How to fix
Bring kube-proxy back on the node, or restart it where its rules do not follow.

## Looks like
`kube-proxy-rules-stale`: other Services' addresses work on that node. `svc-itp-local-no-endpoint`: the Service keeps to the endpoints of the caller's node. A network that does the work of kube-proxy itself has no such pod, and fails in the same way.

## Limits
Without agents a Service's address is asked from where Culprit stands, and every node has rules of its own. Where no such address can be reached from here, as from outside of the cluster, the
finding is no more than Possible. What a gateway dials by its own configuration is known for Traefik alone; where it is not known, the Service's address has to fail from here too.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    match on_its_node(case)? {
        Some(finding) => Ok(finding.into()),
        None => from_here(case),
    }
}

/// A node of the gateway from whose inside the Service's address leads to nobody, and whose kube-proxy is not ready or translates nothing.
fn on_its_node(case: &Case<'_>) -> Result<Option<FindingBuilder>, Missing> {
    let nodes = translation::of(case)?;
    let works = nodes.iter().find(|n| n.leads == Leads::Home);
    let why = |n: &AtNode<'_>| match proxy_of(case, n.source.pod) {
        Proxy::Down(object, text) => Some((object, text)),
        Proxy::Ready | Proxy::Unseen if !n.translates_nothing => None,
        Proxy::Ready | Proxy::Unseen => {
            let node = n.source.node;
            Some((ObjectRef::new(Kind::Node, "", node), format!("no Service's address that was tried works on {node}")))
        }
    };
    let mut broken = nodes.iter().filter(|n| n.leads == Leads::Nowhere).filter_map(|n| Some((n, why(n)?)));
    let (Some((at, (object, text))), Some(to), Some(service)) = (broken.next(), translation::address(case)?, case.service_ref()) else {
        return Ok(None);
    };
    let node = at.source.node;
    let contrasted = works.is_some() || object.kind != Kind::Node;
    let sure = contrasted && translation::dials_address(case) == Some(true);
    let confidence = if sure { Confidence::Proven } else { Confidence::Likely };
    let message = format!("On node {node} the address {to} of {service} leads to nobody, though its endpoints answer there: {text}.");
    let mut finding = CAUSE.finding(confidence, message).object(&object, "status").states(text).object(&service, "spec.clusterIP");
    finding = finding.saw_from(at.through, node).saw_from(at.direct, node);
    if let Some(works) = works {
        finding = finding.saw_from(works.through, works.source.node);
    }
    let passing = works.map_or_else(|| line_from(at.direct, node), |w| line_from(w.through, w.source.node));
    Ok(Some(mend(finding.proof(line_from(at.through, node), passing), node)))
}

/// What is known where the gateway's nodes were not all asked from.
fn from_here(case: &Case<'_>) -> Judgement {
    let (from, known) = match &case.path.backend.dials {
        Dials::ServiceAddress(from) => (from.as_ref(), true),
        Dials::Unknown => (None, false),
        Dials::Endpoints => return Ok(None),
    };
    let Some(gateway) = case.gateway()?.filter(|_| policies::gets_no_answer(case)) else { return Ok(None) };
    let (Some(service), Some(port)) = (case.service()?.filter(|s| !s.internal_local), case.service_port()?) else { return Ok(None) };
    let views = case.walked()?;
    if views.iter().any(|v| v.seen.signature().is_some()) {
        return Ok(None);
    }
    let (Some(direct), Some(ip)) = (views.first(), service.cluster_ips.first()) else { return Ok(None) };
    let address = SocketAddr::new(*ip, port.port);
    let others: Vec<Probe> = translation::controls(case).map(|to| case.connect_to(to)).collect();
    case.ask_all(others.iter().cloned().chain([case.connect_to(address)]).collect())?;
    let own = case.ask(case.connect_to(address))?;
    let other = others.iter().filter_map(|p| case.seen.get(p)).find(|o| connects(o));
    let down = gateway.pods.iter().find_map(|p| match proxy_of(case, p) {
        Proxy::Down(object, text) => Some((object, text)),
        Proxy::Ready | Proxy::Unseen => None,
    });
    let (confidence, what) = match (connects(own), other, &down) {
        (true, _, None) => return Ok(None),
        // What the gateway dials is not known: only that the address does not work, while others do, speaks for it.
        (true, _, _) | (_, None, _) if !known => return Ok(None),
        (true, _, Some(_)) => (Confidence::Likely, "which leads to its endpoints from here alone"),
        (false, Some(_), Some(_)) if known => (Confidence::Proven, "which does not lead to its endpoints, though these answer"),
        (false, Some(_), _) => (Confidence::Likely, "which does not lead to its endpoints, though these answer"),
        (false, None, Some(_)) => (Confidence::Likely, "and its endpoints answer when they are asked directly"),
        (false, None, None) => (Confidence::Possible, "and its endpoints answer when they are asked directly"),
    };
    let reference = ObjectRef { kind: Kind::Service, key: service.meta.key() };
    let why = down.as_ref().map_or("kube-proxy may be down there, or its rules stale", |(_, text)| text);
    let dials = if known { "The gateway dials" } else { "The gateway seems to dial" };
    let mut finding = CAUSE.finding(confidence, format!("{dials} {reference} at {address}, {what}: {why}."));
    if let Some((object, text)) = &down {
        finding = finding.object(object, "status").states(text);
    }
    if let Some((object, field)) = from {
        finding = finding.states(format!("{object}: {field} makes the gateway dial the Service's address"));
    }
    finding = finding.object(&reference, "spec.clusterIP");
    finding = [Some(own), Some(direct.seen), other].into_iter().flatten().fold(finding, |f, seen| f.saw(seen));
    let failing = if connects(own) { case.failing_line() } else { own.to_string() };
    let node = gateway.pods.iter().find_map(|p| p.node.as_deref()).unwrap_or("NODE");
    Ok(mend(finding.proof(failing, direct.seen.to_string()), node).into())
}

fn mend(finding: FindingBuilder, node: &str) -> FindingBuilder {
    finding
        .fix("Bring kube-proxy back on the gateway's node; restart it where its rules do not follow the Service.")
        .command(format!("kubectl -n kube-system get pods -l k8s-app=kube-proxy -o wide --field-selector spec.nodeName={node}"))
        .command("kubectl -n kube-system rollout restart daemonset kube-proxy")
}

fn connects(observation: &Observation) -> bool {
    observation.outcome == Outcome::Connected
}

/// What is known of the kube-proxy of a pod's node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proxy {
    /// None is seen: the network does its work, or it runs as no pod.
    Unseen,
    /// It is ready.
    Ready,
    /// It is not ready or missing, by an object and in words.
    Down(ObjectRef, String),
}

/// The kube-proxy that should run on a pod's node.
pub(super) fn proxy_of(case: &Case<'_>, pod: &Pod) -> Proxy {
    let Some(node) = pod.node.as_deref() else { return Proxy::Unseen };
    let pods: Vec<&Arc<Pod>> = case.snapshot.pods_in("kube-system").filter(|p| is_proxy(p) && !p.has_ended()).collect();
    let here = pods.iter().find(|p| p.node.as_deref() == Some(node));
    match here {
        Some(proxy) if proxy.is_ready() => Proxy::Ready,
        Some(proxy) => Proxy::Down(proxy.reference(), format!("{} on the gateway's node {node} is not ready", proxy.reference())),
        None => match case.snapshot.workloads_in("kube-system").find(|w| is_set(w) && !pods.is_empty()) {
            Some(set) => Proxy::Down(set.reference(), format!("{} has no pod on the gateway's node {node}", set.reference())),
            None => Proxy::Unseen,
        },
    }
}

fn is_proxy(pod: &Pod) -> bool {
    let labelled = ["k8s-app", "component"].iter().any(|key| pod.meta.labels.get(key).is_some_and(|v| v == "kube-proxy"));
    labelled || pod.meta.owner.as_ref().is_some_and(|o| o.kind == "DaemonSet" && o.name == "kube-proxy")
}

fn is_set(workload: &Workload) -> bool {
    workload.kind == Kind::DaemonSet && workload.meta.name == "kube-proxy"
}

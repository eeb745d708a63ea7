use std::collections::{BTreeMap, BTreeSet};

use crate::api::{Confidence, Hop, Severity};
use crate::causes::nodes::{Cell, Link, Matrix};
use crate::causes::{Case, Cause, EndpointView, FindingBuilder, Judgement, Missing, Platform, When, known, line_from};
use crate::path::Endpoint;
use crate::path::policy;
use crate::probe::{Observation, Signature};
use crate::snapshot::objects::{Key, Kind, ObjectRef};

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "cni-cross-node-broken",
    summary: "pods are reached on their own node and not from another",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
The pod network carries packets within a node and loses them between nodes: a blocked tunnel (VXLAN 8472 or 4789, Geneve 6081, WireGuard, IP in IP), missing routes, or a cloud that
checks source addresses.

## What you see
Requests fail by turns, by the share of endpoints on other nodes. It looks random and is not: each endpoint always works or never.

## How we know
Where the gateway has pods on several nodes and agents run there, each endpoint is asked from each node (up to four): what is lost from one node is reached on the endpoint's
own, and no NetworkPolicy denies it. From one node alone: every endpoint there answers, no endpoint on any other node can be connected to, and no NetworkPolicy selects the pods.

## How to fix
Open the tunnel's port or protocol between all nodes, restart the network's agents, mend the routes.

## Looks like
`node-firewall-blocks`: one node alone is closed. With a single other node both look the same, and both are named. `netpol-ingress-deny` drops on the same node too, and so does
`cni-agent-node-broken`.

## Limits
Where the endpoint's own node has no pod of the gateway, another node that reaches it makes it Likely. Without agents the caller's node is that of Culprit's own pod, else that of a
gateway with one pod; two other nodes have to fail before it is Likely, and without an endpoint on the caller's node nothing is compared. An agent that is cut off itself cannot
be asked.
",
    check,
};

fn check(case: &Case<'_>) -> Judgement {
    let matrix = Matrix::of(case)?;
    if matrix.is_empty() { from_one_node(case) } else { from_several(case, &matrix) }
}

/// Endpoints that one of the gateway's pods does not reach, and another does.
struct Broken<'a> {
    lost: Cell<'a>,
    reached: Cell<'a>,
    sure: bool,
}

/// Pairs of nodes shown as evidence at most; the message names all.
const MOST_SHOWN: usize = 6;

fn from_several(case: &Case<'_>, matrix: &Matrix<'_>) -> Judgement {
    let mut broken = Vec::new();
    for to in matrix.to() {
        for from in matrix.from() {
            broken.extend(between(case, matrix, from, to)?);
        }
    }
    broken.sort_by_key(|b| !b.sure);
    let Some(first) = broken.first() else { return Ok(None) };
    let mut places: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for b in &broken {
        places.entry((b.lost.to, b.reached.source.node)).or_default().push(b.lost.source.node);
    }
    let places = places.into_iter().map(|((on, from), lost)| format!("on {on} are reached from {from} and not from {}", lost.join(", ")));
    let message = format!(
        "Packets between nodes are lost: the pods of Service {} {}.",
        case.service_name(),
        places.collect::<Vec<_>>().join("; those ")
    );
    let confidence = if first.sure { Confidence::Proven } else { Confidence::Likely };
    let mut finding = CAUSE.finding(confidence, message);
    for node in BTreeSet::from([first.lost.source.node, first.lost.to]) {
        finding = finding.object(&ObjectRef::new(Kind::Node, "", node), "");
    }
    let mut shown: Vec<&Observation> = Vec::new();
    for cell in broken.iter().take(MOST_SHOWN).flat_map(|b| [b.lost, b.reached]) {
        if !shown.contains(&cell.seen) {
            shown.push(cell.seen);
            finding = finding.saw_from(cell.seen, cell.source.node);
        }
    }
    let (lost, reached) = (line_from(first.lost.seen, first.lost.source.node), line_from(first.reached.seen, first.reached.source.node));
    Ok(mend(finding.proof(lost, reached), first.lost.endpoint, first.lost.source.node).into())
}

/// Whether what is lost between two nodes is lost between them alone, and no policy asks for it.
fn between<'a>(case: &Case<'a>, matrix: &Matrix<'a>, from: &'a str, to: &'a str) -> Result<Option<Broken<'a>>, Missing> {
    // What a node does not reach on itself either is not lost on the way between nodes.
    if from == to || matrix.link(from, to) != Link::Lost || [from, to].iter().any(|n| matrix.link(n, n) == Link::Lost) {
        return Ok(None);
    }
    let at_home = matrix.link(to, to) == Link::Reached;
    let others = matrix.from().into_iter().filter(|n| *n != to && *n != from);
    let reaching = if at_home { Some(to) } else { others.into_iter().find(|n| matrix.link(n, to) == Link::Reached) };
    let Some(reached) = reaching.and_then(|n| matrix.between(n, to).find(Cell::is_reached)) else { return Ok(None) };
    let Some(lost) = matrix.between(from, to).find(|c| c.endpoint.address == reached.endpoint.address) else { return Ok(None) };
    if let (Some(pod), Some(port)) = (lost.endpoint.pod.known(), lost.endpoint.port) {
        let denied = policy::keeps_out(case.snapshot, &case.path.backend.policies, pod, port, lost.source.pod);
        if known(&denied, "what policies say")? == Some(&true) {
            return Ok(None);
        }
    }
    Ok(Some(Broken { lost, reached, sure: at_home && matrix.link(from, from) != Link::Unknown }))
}

fn mend(finding: FindingBuilder, far: &Endpoint, here: &str) -> FindingBuilder {
    finding
        .fix("Let the pod network's tunnel or routes pass between all nodes.")
        .command(format!("ip route get {}   # on {here}; then look for that tunnel's port in the firewalls", far.address))
}

/// What the caller's own node tells alone.
fn from_one_node(case: &Case<'_>) -> Judgement {
    let nodes: BTreeSet<&str> = case.path.backend.ready_endpoints().filter_map(super::node_of).collect();
    if nodes.len() < 2 {
        return Ok(None);
    }
    let views = case.walked()?;
    let Some(here) = callers_node(case, &views) else { return Ok(None) };
    let (same, other): (Vec<&EndpointView<'_>>, Vec<_>) =
        views.iter().filter(|v| super::node_of(v.endpoint).is_some()).partition(|v| super::node_of(v.endpoint) == Some(here));
    let lost = |v: &&EndpointView<'_>| matches!(v.seen.signature(), Some(Signature::ConnTimeout | Signature::HostUnreach));
    let (Some(near), Some(far)) = (same.first(), other.first()) else { return Ok(None) };
    if !other.iter().all(lost) || same.iter().any(|v| v.seen.response().is_none()) {
        return Ok(None);
    }
    for pod in other.iter().filter_map(|v| v.endpoint.pod.known()) {
        let selected = policy::may_keep_out(case.snapshot, &case.path.backend.policies, pod);
        if known(&selected, "what policies say")? == Some(&true) {
            return Ok(None);
        }
    }
    let others: BTreeSet<&str> = other.iter().filter_map(|v| super::node_of(v.endpoint)).collect();
    let confidence = if others.len() > 1 { Confidence::Likely } else { Confidence::Possible };
    let list = others.iter().copied().collect::<Vec<_>>().join(", ");
    let message = format!(
        "The pods of Service {} are reached on node {here} and not from there on {list} ({}).",
        case.service_name(),
        case.share(other.len())
    );
    let mut finding = CAUSE.finding(confidence, message).saw(far.seen).saw(near.seen);
    for pod in [far, near].into_iter().filter_map(|v| v.endpoint.pod.known()) {
        finding = finding.object(&pod.reference(), "");
    }
    let finding = finding
        .states(format!("no NetworkPolicy of namespace {} selects the pods", case.namespace()))
        .proof(far.seen.to_string(), near.seen.to_string());
    Ok(mend(finding, far.endpoint, here).into())
}

/// The node that the requests come from: that of the pod that asks, else that of the gateway's only pod.
fn callers_node<'a>(case: &Case<'a>, views: &[EndpointView<'a>]) -> Option<&'a str> {
    let asks = views.first()?.seen.vantage.strip_prefix("pod ").and_then(|name| name.split_once('/'));
    let key = asks.map(|(namespace, name)| Key::new(namespace, name));
    let own = key.and_then(|key| case.snapshot.pods_in(&key.namespace).find(|p| *p.meta.name == *key.name));
    let gateway = || match case.path.gateway.known()?.pods.as_slice() {
        [only] => Some(only),
        _ => None,
    };
    own.or_else(gateway)?.node.as_deref()
}

use std::net::SocketAddr;
use std::sync::Arc;

use super::{policies, translation};
use crate::api::{Confidence, Hop, Severity};
use crate::causes::nodes::is_lost;
use crate::causes::{Case, Cause, Judgement, Missing, Platform, When, line_from};
use crate::path::Endpoint;
use crate::probe::{Observation, Outcome, Probe, Signature};
use crate::snapshot::objects::Pod;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "hairpin-broken",
    summary: "a pod does not reach itself through its Service's address",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout],
    explains: &["kube-proxy-down", "kube-proxy-rules-stale"],
    since: "0.1.0",
    docs: r"
## What it means
A pod calls its own Service, the node chooses that very pod, and the packets do not come back to where they came from: hairpin mode is off on the pod's port of the bridge, or packets from and to
one address are not masqueraded.

## What you see
Time-outs for that caller alone, by the share of the Service's endpoints that it is itself; always where it is the only one. Everybody else reaches the Service.

## How we know
The gateway dials the Service's address and one of its pods is an endpoint of that Service: its dashboard, or an inner route to itself. From inside that pod each endpoint answers at its own
address, the pod itself among them, and connections to the Service's address are lost: some where there are other endpoints, all where there is none, while other Services' addresses connect.

## How to fix
Let the network set hairpin mode (`hairpinMode: true` of the bridge plugin, the kubelet's former `hairpin-veth`), let kube-proxy masquerade what a pod sends to itself, or let the pod call itself by
another way.

## Looks like
`kube-proxy-rules-stale`: others on that node do not reach the Service either. `cni-cross-node-broken` loses what other pods answer, too.

## Limits
It is asked of the gateway's own pods, by agents. An application that calls its own Service shows as one that is slow or answers 5xx. With one endpoint and one gateway's pod the node's rules may as well be
wrong, so it is Likely then.
",
    check,
};

/// Connections to the Service's address for each of its endpoints, so that the pod itself is met, and at most.
const TRIES: u8 = 4;
const MOST_TRIES: u8 = 16;

fn check(case: &Case<'_>) -> Judgement {
    if translation::dials_address(case) != Some(true) || !policies::gets_no_answer(case) || case.service()?.is_none_or(|s| s.internal_local)
    {
        return Ok(None);
    }
    let (Some(gateway), Some(address), Some(service)) = (case.gateway()?, translation::address(case)?, case.service_ref()) else {
        return Ok(None);
    };
    let endpoints = case.ready_endpoints()?;
    let itself = |p: &&Arc<Pod>| endpoints.iter().any(|e| p.ips.contains(&e.address));
    let running = || gateway.pods.iter().filter(|p| p.runs() && !p.meta.deleting);
    let Some(pod) = running().find(itself) else { return Ok(None) };
    let Some(node) = pod.node.as_deref() else { return Ok(None) };
    let Caller { direct, own, lost, connected, other } = ask_inside(case, pod, &endpoints, address)?;
    let all_reached = direct.iter().all(|o| !is_lost(o) && !matches!(o.outcome, Outcome::NotSent(_)));
    let (Some(own), Some(lost), true) = (own, lost, all_reached) else { return Ok(None) };
    // Somebody else, who is no endpoint or another one.
    let elsewhere = running().find(|p| p.node != pod.node).map(|p| case.ask(case.connect_to(address).from_inside(p)));
    let elsewhere = match elsewhere {
        Some(Err(Missing::Probes(probes))) => return Err(Missing::Probes(probes)),
        Some(Ok(seen)) if connects(seen) => Some(seen),
        _ => None,
    };
    let confidence = match (connected.or(elsewhere), other, endpoints.len()) {
        (Some(_), _, _) => Confidence::Proven,
        (None, Some(_), 1) => Confidence::Likely,
        (None, _, _) => return Ok(None),
    };
    let share = if endpoints.len() == 1 { "which leads to itself alone" } else { "where that leads to itself" };
    let message = format!(
        "{} on node {node} does not reach itself through the address {address} of {service}, {share}; at its own address it answers.",
        pod.reference()
    );
    let finding = CAUSE.finding(confidence, message).object(&pod.reference(), "").object(&service, "spec.clusterIP");
    let seen = [Some(lost), Some(own), connected, elsewhere, other].into_iter().flatten();
    Ok(seen
        .fold(finding, |f, seen| if is_from(seen, pod) { f.saw_from(seen, node) } else { f.saw(seen) })
        .proof(line_from(lost, node), line_from(own, node))
        .fix("Set hairpin mode on the pods' ports of the node's bridge.")
        .command(format!("bridge -d link show   # on {node}: hairpin on for each pod's port"))
        .command("grep -r hairpinMode /etc/cni/net.d   # on each node")
        .into())
}

/// What a pod that is itself an endpoint sees.
struct Caller<'a> {
    /// Each endpoint at its own address.
    direct: Vec<&'a Observation>,
    /// Itself at its own address, where it answers.
    own: Option<&'a Observation>,
    /// A connection to the Service's address that was lost, and one that was not.
    lost: Option<&'a Observation>,
    connected: Option<&'a Observation>,
    /// Another Service's address that connects.
    other: Option<&'a Observation>,
}

fn ask_inside<'a>(case: &Case<'a>, pod: &Pod, endpoints: &[&Endpoint], address: SocketAddr) -> Result<Caller<'a>, Missing> {
    let inside = |to| case.connect_to(to).from_inside(pod);
    let tries = u8::try_from(endpoints.len()).unwrap_or(u8::MAX).saturating_mul(TRIES).min(MOST_TRIES);
    let direct: Vec<Probe> = endpoints.iter().filter_map(|e| e.socket()).map(inside).collect();
    let through: Vec<Probe> = (0..tries).map(|n| inside(address).again(n)).collect();
    let others: Vec<Probe> = translation::controls(case).map(inside).collect();
    let all = direct.iter().chain(&through).chain(&others).cloned().collect();
    case.ask_all(all)?;
    let seen = |probes: &[Probe]| probes.iter().filter_map(|p| case.seen.get(p)).collect::<Vec<_>>();
    let at_itself = |o: &&Observation| o.probe.address().is_some_and(|to| pod.ips.contains(&to.ip()));
    let (direct, through) = (seen(&direct), seen(&through));
    Ok(Caller {
        own: direct.iter().copied().find(|o| at_itself(o) && connects(o)),
        lost: through.iter().copied().find(|o| is_lost(o)),
        connected: through.iter().copied().find(|o| connects(o)),
        other: seen(&others).into_iter().find(|o| connects(o)),
        direct,
    })
}

fn connects(observation: &Observation) -> bool {
    observation.outcome == Outcome::Connected
}

fn is_from(observation: &Observation, pod: &Pod) -> bool {
    observation.probe.from.as_ref().is_some_and(|from| from.name == *pod.meta.name)
}

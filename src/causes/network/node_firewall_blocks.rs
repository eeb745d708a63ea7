use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, When};
use crate::probe::Signature;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::causes::ports::{self, is_probed_by_network};
use crate::causes::{EndpointView, Missing};
use crate::fact::Fact;
use crate::snapshot::objects::Pod;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "node-firewall-blocks",
    summary: "a firewall on or between nodes drops or rejects packets to the pods",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
Packets to the pods' port are dropped or rejected on the way, and no NetworkPolicy asks for it: a firewall on a node, between nodes, or a security group.

## What you see
A time-out, or `No route to host` at once, for all endpoints or for those of some nodes.

## How we know
The pods are ready by a probe that their own node sends over the network, their addresses are theirs, and connections from elsewhere fail; no policy selects them. `No route to host` within milliseconds is a firewall's REJECT: a missing neighbour takes about three seconds.

## How to fix
Let the firewall pass traffic between nodes and from the pods' networks, on every node that the finding names.

## Looks like
`cni-cross-node-broken` fails only between nodes; `netpol-ingress-deny` has a policy that denies; `listen-backlog-full` comes and goes with load;
where the kubelet asks another port and a closed port of the pod refuses, packets arrive, and the queue is what is full.

## Limits
Without a look into the pod's sockets a full accept queue cannot be told from a DROP; the finding is Likely.
",
    check,
};

/// Above this a missing neighbour is as likely as a firewall (Linux gives up on ARP after about three seconds).
const AT_ONCE: Duration = Duration::from_millis(800);

fn check(case: &Case<'_>) -> Judgement {
    let views = case.walked_with(&[Signature::ConnTimeout, Signature::HostUnreach])?;
    let mut blocked = Vec::new();
    for view in &views {
        let Some(pod) = view.endpoint.pod.known() else { continue };
        let suspect = pod.is_ready() && is_probed_by_network(pod) && is_blocked(view) && !is_selected(case, pod)?;
        if suspect && !only_socket_drops(case, view, pod)? {
            blocked.push((view, pod));
        }
    }
    let Some((first, pod)) = blocked.first() else { return Ok(None) };
    let nodes: BTreeSet<&str> = blocked.iter().filter_map(|(v, _)| v.endpoint.node.as_deref()).collect();
    let place = if nodes.is_empty() { "their nodes".to_owned() } else { nodes.into_iter().collect::<Vec<_>>().join(", ") };
    let what = if first.seen.signature() == Some(Signature::HostUnreach) { "rejected" } else { "dropped" };
    let message = format!(
        "Packets to the pods of Service {} on {place} are {what} on the way, and no NetworkPolicy asks for it ({}).",
        case.service_name(),
        case.share(blocked.len())
    );
    let ready = format!("{} is ready by a probe that its node sends over the network", pod.reference());
    let reached = case.walked()?.into_iter().find(|v| v.seen.response().is_some());
    let passing = reached.map_or_else(|| ready.clone(), |v| v.seen.to_string());
    Ok(CAUSE
        .finding(Confidence::Likely, message)
        .object(&pod.reference(), "")
        .saw(first.seen)
        .states(ready)
        .states(format!("no NetworkPolicy of namespace {} selects {}", pod.meta.namespace, pod.reference()))
        .proof(first.seen.to_string(), passing)
        .fix("Let the firewalls of these nodes pass traffic to the pods' network.")
        .command("iptables-save | grep -E 'DROP|REJECT'   # on each of these nodes; or nft list ruleset")
        .into())
}

/// Whether packets reach the pod and nobody is known to get through to the port: then its queue of connections is full as likely.
fn only_socket_drops(case: &Case<'_>, view: &EndpointView<'_>, pod: &Pod) -> Result<bool, Missing> {
    if view.seen.signature() != Some(Signature::ConnTimeout) || ports::kubelet_gets_through(pod, view.endpoint.port.unwrap_or_default()) {
        return Ok(false);
    }
    let closed = case.ask(ports::closed_port(case, view.endpoint.address))?;
    Ok(closed.signature() == Some(Signature::Refused))
}

fn is_blocked(view: &EndpointView<'_>) -> bool {
    view.seen.signature() == Some(Signature::ConnTimeout) || view.seen.took < AT_ONCE
}

fn is_selected(case: &Case<'_>, pod: &Pod) -> Result<bool, Missing> {
    match &case.path.backend.policies {
        Fact::Known(policies) => Ok(policies.iter().any(|p| p.ingress.is_some() && p.pods.matches(&pod.meta.labels))),
        Fact::Absent => Ok(false),
        Fact::NotAsked => Err(Missing::Fact("NetworkPolicies were not looked up".into())),
        Fact::Failed(why) => Err(Missing::Fact(format!("NetworkPolicies could not be looked up: {why}"))),
    }
}

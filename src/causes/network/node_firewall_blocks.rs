use crate::api::{Confidence, Hop, Severity};
use crate::causes::{Case, Cause, Judgement, Platform, When};
use crate::probe::Signature;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::causes::ports::{self, Table, is_probed_by_network};
use crate::causes::{EndpointView, Missing, known};
use crate::path::policy;
use crate::snapshot::objects::Pod;

/// See `docs`.
pub static CAUSE: Cause = Cause {
    slug: "node-firewall-blocks",
    summary: "a firewall on or between nodes drops or rejects packets to the pods",
    hop: Hop::Network,
    severity: Severity::Error,
    when: When::NotWorking,
    platform: Platform::Kubernetes,
    signatures: &[Signature::ConnTimeout, Signature::HostUnreach, Signature::Refused],
    explains: &[],
    since: "0.1.0",
    docs: r"
## What it means
Packets to the pods' port are dropped or rejected on the way, and no NetworkPolicy asks for it: a firewall on a node, between nodes, or a security group.

## What you see
A time-out, or `No route to host` at once, for all endpoints or for those of some nodes.

## How we know
The pods are ready by a probe that their own node sends over the network, their addresses are theirs, and connections from elsewhere fail; no policy selects them. `No route to host` within milliseconds is a firewall's REJECT: a missing neighbour takes about three seconds. Where an agent looks into the pod, it is proven: the port is open with an empty queue, packets to a closed port of the pod arrive, and
connections to the open one are lost; or they are rejected although the port is open.

## How to fix
Let the firewall pass traffic between nodes and from the pods' networks, on every node that the finding names.

## Looks like
`cni-cross-node-broken` fails only between nodes; `netpol-ingress-deny` has a policy that denies; `listen-backlog-full` comes and goes with load;
where the kubelet asks another port and a closed port of the pod refuses, packets arrive, and the queue is what is full.

## Limits
Without a look into the pod's sockets a full accept queue cannot be told from a DROP; the finding is Likely. It stays Likely where no packet reaches the pod at all, since a broken pod
network does the same.
",
    check,
};

/// Tells the connect after the look from others to the same port.
const AGAIN: u8 = 7;
/// Above this a missing neighbour is as likely as a firewall (Linux gives up on ARP after about three seconds).
const AT_ONCE: Duration = Duration::from_millis(800);

fn check(case: &Case<'_>) -> Judgement {
    let views = case.walked_with(&[Signature::ConnTimeout, Signature::HostUnreach, Signature::Refused])?;
    let mut blocked = Vec::new();
    for view in &views {
        let Some(pod) = view.endpoint.pod.known() else { continue };
        let Some(block) = block(case, view, pod)? else { continue };
        if !is_selected(case, pod)? {
            blocked.push((view, pod, block));
        }
    }
    let Some((first, pod, proof)) = blocked.iter().max_by_key(|(_, _, block)| matches!(block, Block::Open(_))) else { return Ok(None) };
    let nodes: BTreeSet<&str> = blocked.iter().filter_map(|(v, _, _)| v.endpoint.node.as_deref()).collect();
    let place = if nodes.is_empty() { "their nodes".to_owned() } else { nodes.into_iter().collect::<Vec<_>>().join(", ") };
    let what = if first.seen.signature() == Some(Signature::ConnTimeout) { "dropped" } else { "rejected" };
    let message = format!(
        "Packets to the pods of Service {} on {place} are {what} on the way, and no NetworkPolicy asks for it ({}).",
        case.service_name(),
        case.share(blocked.len())
    );
    let finding = |confidence| {
        CAUSE.finding(confidence, message).object(&pod.reference(), "").saw(first.seen).states(format!(
            "no NetworkPolicy of namespace {} selects {}",
            pod.meta.namespace,
            pod.reference()
        ))
    };
    let finding = match proof {
        Block::Open(table) => {
            let line = table.open_line();
            finding(Confidence::Proven).looked(table.look, line.clone()).proof(first.seen.to_string(), line)
        }
        Block::Suspected => {
            let ready = format!("{} is ready by a probe that its node sends over the network", pod.reference());
            let reached = case.walked()?.into_iter().find(|v| v.seen.response().is_some());
            let passing = reached.map_or_else(|| ready.clone(), |v| v.seen.to_string());
            finding(Confidence::Likely).states(ready).proof(first.seen.to_string(), passing)
        }
    };
    Ok(finding
        .fix("Let the firewalls of these nodes pass traffic to the pods' network.")
        .command("iptables-save | grep -E 'DROP|REJECT'   # on each of these nodes; or nft list ruleset")
        .into())
}

/// What speaks for a firewall.
enum Block<'a> {
    /// The pod's port is open, and nothing waits in its queue.
    Open(Table<'a>),
    /// The pod's own node gets through to it, and others do not.
    Suspected,
}

fn block<'a>(case: &Case<'a>, view: &EndpointView<'a>, pod: &Pod) -> Result<Option<Block<'a>>, Missing> {
    let Some(to) = view.endpoint.socket() else { return Ok(None) };
    let refused = view.seen.signature() == Some(Signature::Refused);
    let table = case.look_if_possible(pod)?.map(|look| Table::of(look, to.ip(), to.port()));
    let Some(table) = table.filter(|t| t.at.is_served()) else {
        return if refused { Ok(None) } else { suspected(case, view, pod, false) };
    };
    if !table.is_idle() {
        return Ok(None);
    }
    // Refused once, it may have been opened just then.
    let is_shut = match view.seen.signature() {
        Some(Signature::Refused) => case.ask(case.connect_to(to).again(AGAIN))?.signature() == Some(Signature::Refused),
        Some(Signature::ConnTimeout) => reaches_pod(case, view)?,
        _ => view.seen.took < AT_ONCE,
    };
    match is_shut {
        true => Ok(Some(Block::Open(table))),
        false if refused => Ok(None),
        false => suspected(case, view, pod, true),
    }
}

fn suspected<'a>(case: &Case<'_>, view: &EndpointView<'_>, pod: &Pod, idle: bool) -> Result<Option<Block<'a>>, Missing> {
    let suspect = pod.is_ready() && is_probed_by_network(pod) && is_blocked(view);
    Ok((suspect && (idle || !only_socket_drops(case, view, pod)?)).then_some(Block::Suspected))
}

/// Whether packets reach the pod and nobody is known to get through to the port: then its queue of connections is full as likely.
fn only_socket_drops(case: &Case<'_>, view: &EndpointView<'_>, pod: &Pod) -> Result<bool, Missing> {
    if view.seen.signature() != Some(Signature::ConnTimeout) || ports::kubelet_gets_through(pod, view.endpoint.port.unwrap_or_default()) {
        return Ok(false);
    }
    reaches_pod(case, view)
}

/// Whether a closed port of the pod refuses.
fn reaches_pod(case: &Case<'_>, view: &EndpointView<'_>) -> Result<bool, Missing> {
    Ok(case.ask(ports::closed_port(case, view.endpoint.address))?.signature() == Some(Signature::Refused))
}

fn is_blocked(view: &EndpointView<'_>) -> bool {
    view.seen.signature() == Some(Signature::ConnTimeout) || view.seen.took < AT_ONCE
}

fn is_selected(case: &Case<'_>, pod: &Pod) -> Result<bool, Missing> {
    let selected = policy::may_keep_out(case.snapshot, &case.path.backend.policies, pod);
    Ok(known(&selected, "what policies say")?.copied().unwrap_or_default())
}

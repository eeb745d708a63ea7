//! What the answers of a round come to.

use std::collections::BTreeMap;

use super::plan::{Address, Pair, Place, Plan, Spot};
use crate::api::{Expectation, FailingPair, PairSummary, ReplicaStatus, Verdict};
use crate::path::dns;
use crate::path::policy::cluster::{self, Connection};
use crate::path::policy::{self, Decision, Direction, Peer};
use crate::probe::{DnsFailure, Observation, Outcome, Signature};
use crate::snapshot::Snapshot;
use crate::snapshot::objects::{Pod, Text, Transport};

/// Failing pairs that a status names.
const NAMED: usize = 20;

/// The answers of a round.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// What each pair showed.
    pub pairs: Vec<(Pair, Observation)>,
    /// What each name showed: numbers of the place, of the name and of the replica.
    pub names: Vec<(usize, usize, usize, Observation)>,
}

/// What a round comes to; times and outages are the status' own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// The cause that explains what fails first.
    pub cause: Option<&'static str>,
    /// In one sentence.
    pub message: String,
    /// In numbers.
    pub pairs: PairSummary,
    /// Pairs that are not as expected.
    pub failing: Vec<FailingPair>,
    /// DNS by replica.
    pub dns: Vec<ReplicaStatus>,
}

/// What a pair comes to.
enum State {
    AsExpected,
    Failing { why: String, cause: Option<&'static str> },
    Unknown(String),
}

/// Judges a round. What was not seen is never as expected.
pub fn judge(snapshot: &Snapshot, plan: &Plan, expect: Expectation, answers: &Answers) -> Judged {
    let network = broken_network(plan, answers);
    let mut judged = Judged::default();
    let mut unknown = None;
    let mut why = None;
    for (pair, seen) in &answers.pairs {
        let (place, spot) = (&plan.places[pair.from], &plan.spots[pair.to]);
        judged.pairs.asked += 1;
        match state(snapshot, place, spot, expect, seen) {
            State::AsExpected => judged.pairs.passing += 1,
            State::Unknown(reason) => {
                judged.pairs.unknown += 1;
                unknown.get_or_insert(format!("{} → {}: {reason}", place.name, spot.name));
            }
            State::Failing { why: reason, cause } => {
                judged.pairs.failing += 1;
                let cause = cause.or_else(|| network.as_ref().filter(|n| n.explains(place, spot, seen)).map(|n| n.cause));
                why.get_or_insert((format!("{} → {}: {reason}", place.name, spot.name), cause));
                if judged.failing.len() < NAMED {
                    let cause = cause.map(str::to_owned);
                    judged.failing.push(FailingPair { from: place.name.clone(), to: spot.name.clone(), outcome: reason, cause });
                }
            }
        }
    }
    let names = names(snapshot, plan, answers);
    judged.dns = names.replicas;
    let failing = judged.pairs.failing + names.failed;
    let passing = judged.pairs.passing + names.answered;
    unknown = unknown.or(names.unknown);
    why = why.or(names.why);
    judged.verdict = match (failing, passing, &unknown) {
        (0, _, Some(_)) | (0, 0, None) => Verdict::Unknown,
        (0, _, None) => Verdict::Healthy,
        (_, 0, None) => Verdict::Failing,
        _ => Verdict::Degraded,
    };
    judged.cause = why.as_ref().and_then(|(_, cause)| *cause);
    judged.message = match (why, unknown) {
        (Some((why, _)), _) if network.is_some() && judged.cause == network.as_ref().map(|n| n.cause) => {
            format!("{}; first: {why}", network.map(|n| n.text).unwrap_or_default())
        }
        (Some((why, _)), _) if failing == 1 => why,
        (Some((why, _)), _) => format!("{failing} of {} are not as expected; first: {why}", failing + passing),
        (None, Some(unknown)) => format!("not seen: {unknown}"),
        (None, None) if passing == 0 => "there was nothing to ask".into(),
        (None, None) => format!("all {passing} are as expected"),
    };
    judged
}

fn state(snapshot: &Snapshot, place: &Place, spot: &Spot, expect: Expectation, seen: &Observation) -> State {
    let failing = |why: String, cause| State::Failing { why, cause };
    if seen.outcome != Outcome::Connected
        && let Some(why) = gone(snapshot, place, spot)
    {
        return State::Unknown(why);
    }
    match (expect, &seen.outcome) {
        (_, Outcome::NotSent(why)) => State::Unknown(why.clone()),
        (Expectation::Allowed, Outcome::Connected) => State::AsExpected,
        (Expectation::Denied, Outcome::Connected) => failing("the connection is made, and is to be kept out".into(), None),
        (Expectation::Denied, Outcome::Broken { signature, .. }) => match signature {
            Signature::ConnTimeout | Signature::HostUnreach | Signature::NetUnreach => State::AsExpected,
            _ => State::Unknown(format!("{}, by a policy that rejects or because nobody listens", seen.outcome_text())),
        },
        (Expectation::Denied, _) => State::Unknown(seen.outcome_text()),
        (Expectation::Allowed, _) => match denied_by(snapshot, place, spot) {
            Some((policy, cause)) => failing(format!("{}; {policy}", seen.outcome_text()), Some(cause)),
            None => failing(seen.outcome_text(), None),
        },
    }
}

/// Why what does not connect says nothing of a pair: one of its pods went, or began anew, while it was asked.
fn gone(snapshot: &Snapshot, place: &Place, spot: &Spot) -> Option<String> {
    let pods = [Some(&place.declared), spot.pod.as_ref()];
    let went = pods.into_iter().flatten().find(|planned| !is_as_planned(snapshot, planned))?;
    Some(format!("{} went while it was asked", went.reference()))
}

fn is_as_planned(snapshot: &Snapshot, planned: &Pod) -> bool {
    let now = snapshot.pod(&planned.meta.key());
    let restarts = |pod: &Pod| pod.containers.iter().map(|c| c.restarts).sum::<i32>();
    let is_same = |now: &Pod| now.meta.uid == planned.meta.uid && now.ips == planned.ips && restarts(now) == restarts(planned);
    // What cannot be read any more is not known to have gone.
    now.why_unknown().is_some() || now.known().is_some_and(|now| is_same(now) && now.runs() && !now.meta.deleting)
}

/// The policies that keep a pair apart, in words, and the cause that stands for them. What stands behind a Service's address is what policies are
/// about, and not known here.
fn denied_by(snapshot: &Snapshot, place: &Place, spot: &Spot) -> Option<(String, &'static str)> {
    let (Address::Socket(to), Some(pod)) = (&spot.address, &spot.pod) else { return None };
    let (from, port) = (&place.declared, to.port());
    let into = policy::ingress(snapshot, &snapshot.policies_in(&pod.meta.namespace), pod, port, &Peer::of(from));
    let (peer, at) = (Peer::of(pod), Some(pod.as_ref()));
    let out = policy::egress(snapshot, &snapshot.policies_in(&from.meta.namespace), from, (&peer, at), (Transport::Tcp, port));
    let connection = |direction| {
        let (pod, peer, peer_pod) = match direction {
            Direction::Ingress => (pod.as_ref(), Peer::of(from), from.as_ref()),
            Direction::Egress => (from.as_ref(), peer, pod.as_ref()),
        };
        Connection { direction, pod, peer, peer_pod: Some(peer_pod), transport: Transport::Tcp, port }
    };
    let ends = [
        (Direction::Ingress, into, "does not let it in", "netpol-ingress-deny"),
        (Direction::Egress, out, "does not let it out", "netpol-egress-deny-gateway"),
    ];
    ends.into_iter().find_map(|(direction, decision, what, cause)| match decision.known()? {
        Decision::Denied(by) => {
            let by = by.first().map(|p| p.meta.name.to_string()).unwrap_or_default();
            Some((format!("NetworkPolicy {by} {what}"), cause))
        }
        open => {
            let by = cluster::denied(snapshot, &connection(direction), *open == Decision::Admitted);
            let by = by.known()?.as_ref()?.reference();
            Some((format!("{by} {what}, where the pod network enforces it"), cause))
        }
    })
}

/// A network between nodes that does not carry.
struct Network {
    cause: &'static str,
    node: Option<Text>,
    text: String,
}

impl Network {
    fn explains(&self, place: &Place, spot: &Spot, seen: &Observation) -> bool {
        let Some((from, to)) = between(place, spot) else { return false };
        from != to && is_lost(seen) && self.node.as_ref().is_none_or(|n| n == from || n == to)
    }
}

/// The nodes of a pair, where both are known.
fn between<'a>(place: &'a Place, spot: &'a Spot) -> Option<(&'a Text, &'a Text)> {
    Some((&place.node, spot.pod.as_ref()?.node.as_ref()?))
}

fn is_lost(seen: &Observation) -> bool {
    matches!(seen.signature(), Some(Signature::ConnTimeout | Signature::HostUnreach | Signature::NetUnreach))
}

/// Packets between nodes are lost: all of them, or those of one node alone. A single pair shows nothing.
fn broken_network(plan: &Plan, answers: &Answers) -> Option<Network> {
    // By node: pairs with another node that lost their packets, and that did not.
    let mut nodes: BTreeMap<&Text, (usize, usize)> = BTreeMap::new();
    let (mut lost, mut carried, mut within_lost) = (0, 0, 0);
    for (pair, seen) in &answers.pairs {
        let Some((from, to)) = between(&plan.places[pair.from], &plan.spots[pair.to]) else { continue };
        if matches!(seen.outcome, Outcome::NotSent(_)) {
            continue;
        }
        let is_lost = is_lost(seen);
        if from == to {
            within_lost += usize::from(is_lost);
            continue;
        }
        *if is_lost { &mut lost } else { &mut carried } += 1;
        for node in [from, to] {
            let counts = nodes.entry(node).or_default();
            *if is_lost { &mut counts.0 } else { &mut counts.1 } += 1;
        }
    }
    if lost < 2 || within_lost > 0 {
        return None;
    }
    if carried == 0 {
        let text = format!("no packet of {lost} connections between nodes arrives, and those within a node do");
        return Some(Network { cause: "cni-cross-node-broken", node: None, text });
    }
    // Every lost pair has one node in common, and that node carries nothing.
    let silent = |counts: &(usize, usize)| counts.0 == lost && counts.1 == 0;
    let mut alone = nodes.iter().filter(|(_, counts)| silent(counts));
    let (node, _) = alone.next().filter(|_| nodes.values().filter(|c| silent(c)).count() == 1)?;
    let text = format!("node {node} is cut off from the pods of all other nodes");
    Some(Network { cause: "cni-agent-node-broken", node: Some((*node).clone()), text })
}

/// Names in numbers.
#[derive(Default)]
struct Names {
    answered: u32,
    failed: u32,
    unknown: Option<String>,
    why: Option<(String, Option<&'static str>)>,
    replicas: Vec<ReplicaStatus>,
}

fn names(snapshot: &Snapshot, plan: &Plan, answers: &Answers) -> Names {
    let mut names = Names::default();
    let servers = dns::servers(snapshot);
    for (number, replica) in plan.replicas.iter().enumerate() {
        let mut status = ReplicaStatus { replica: replica.name.clone(), ..ReplicaStatus::default() };
        let mut times = Vec::new();
        let mut silent_to_all = true;
        let mut first = None;
        for (place, name, _, seen) in answers.names.iter().filter(|(_, _, r, _)| *r == number) {
            let asked = format!("{} asks {} for {}", plan.places[*place].name, replica.name, plan.names[*name]);
            match &seen.outcome {
                Outcome::NotSent(why) => {
                    names.unknown.get_or_insert(format!("{asked}: {why}"));
                    continue;
                }
                Outcome::Resolved(_) => names.answered += 1,
                _ if !servers.contains(&replica.address) || !is_as_planned(snapshot, &plan.places[*place].declared) => {
                    names.unknown.get_or_insert(format!("{asked}: one of them went meanwhile"));
                    continue;
                }
                other => {
                    status.failed += 1;
                    names.failed += 1;
                    let nobody = matches!(other, Outcome::NotResolved(DnsFailure::NxDomain | DnsFailure::NoData));
                    first.get_or_insert((format!("{asked}: {}", seen.outcome_text()), nobody));
                }
            }
            status.asked += 1;
            silent_to_all &= matches!(seen.outcome, Outcome::NotResolved(DnsFailure::Timeout | DnsFailure::Unreachable));
            times.push(u32::try_from(seen.took.as_millis()).unwrap_or(u32::MAX));
        }
        if let Some((text, nobody)) = first {
            let cause = if nobody { Some("dns-nxdomain-typo") } else { (silent_to_all && status.asked > 1).then_some("coredns-down") };
            names.why.get_or_insert((text, cause));
        }
        times.sort_unstable();
        status.p50_millis = quantile(&times, 50);
        status.p99_millis = quantile(&times, 99);
        names.replicas.push(status);
    }
    names
}

fn quantile(sorted: &[u32], share: usize) -> u32 {
    sorted.get((sorted.len() * share).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

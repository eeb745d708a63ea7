//! Asks what a plan wants, from the pods that it names.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};

use super::judge::Answers;
use super::plan::{Address, Pair, Place, Plan};
use crate::api::Expectation;
use crate::path::landmarks;
use crate::probe::{Observation, Outcome, Probe, Question};
use crate::snapshot::Snapshot;
use crate::vantage::Lends;

/// Limit of one probe.
const LIMIT: Duration = Duration::from_secs(2);
/// Pause before what is not as expected is asked once more: long enough for a pod that just went to be known as gone.
const PAUSE: Duration = Duration::from_secs(1);
/// Probes of one check under way at once.
const AT_ONCE: usize = 512;

/// Whoever can ask from inside a pod.
pub trait FromPods: Send + Sync {
    /// Sends a probe from a pod. Never fails: what could not be sent is an observation that says so.
    fn ask<'a>(&'a self, from: &'a Place, probe: &'a Probe) -> BoxFuture<'a, Observation>;
}

/// Asks a round. What is not as expected is asked once more before it counts: a single packet may be lost.
pub async fn run(snapshot: &impl Lends, plan: &Plan, expect: Expectation, pods: &dyn FromPods) -> Answers {
    let mut to_pairs: Vec<BoxFuture<'_, (Pair, Observation)>> = Vec::with_capacity(plan.pairs.len());
    for pair in plan.pairs.iter().copied() {
        to_pairs.push(async move { (pair, ask_twice(snapshot, plan, pair, expect, pods).await) }.boxed());
    }
    let mut for_names: Vec<BoxFuture<'_, (usize, usize, usize, Observation)>> = Vec::new();
    for (place, name, replica) in questions(plan) {
        for_names.push(async move { (place, name, replica, resolve(plan, place, name, replica, pods).await) }.boxed());
    }
    let pairs = futures::stream::iter(to_pairs).buffer_unordered(AT_ONCE).collect::<Vec<_>>();
    let names = futures::stream::iter(for_names).buffer_unordered(AT_ONCE).collect::<Vec<_>>();
    let (mut pairs, mut names) = futures::join!(pairs, names);
    // Answers come in any order, and a status is to stay the same.
    pairs.sort_by_key(|(pair, _)| *pair);
    names.sort_by_key(|(place, name, replica, _)| (*place, *name, *replica));
    Answers { pairs, names }
}

/// Every name from every place that resolves, at every replica.
fn questions(plan: &Plan) -> impl Iterator<Item = (usize, usize, usize)> {
    let (names, replicas) = (plan.names.len(), plan.replicas.len());
    (0..plan.resolvers).flat_map(move |place| (0..names).flat_map(move |name| (0..replicas).map(move |replica| (place, name, replica))))
}

async fn ask_twice(snapshot: &impl Lends, plan: &Plan, pair: Pair, expect: Expectation, pods: &dyn FromPods) -> Observation {
    let first = ask(snapshot, plan, pair, 0, pods).await;
    let connected = first.outcome == Outcome::Connected;
    if matches!(first.outcome, Outcome::NotSent(_)) || connected == (expect == Expectation::Allowed) {
        return first;
    }
    tokio::time::sleep(PAUSE).await;
    ask(snapshot, plan, pair, 1, pods).await
}

async fn ask(snapshot: &impl Lends, plan: &Plan, pair: Pair, attempt: u8, pods: &dyn FromPods) -> Observation {
    let from = &plan.places[pair.from];
    let connect = |to| Probe { timeout: LIMIT, attempt, ..Probe::connect(to) };
    let (name, port) = match &plan.spots[pair.to].address {
        Address::Socket(to) => return pods.ask(from, &connect(*to)).await,
        Address::Host { name, port } => (name, *port),
    };
    // With a dot at its end it is looked up as it is written, not below the cluster's own domains.
    let question = Question::Resolve { name: format!("{}.", name.trim_end_matches('.')), server: None };
    let lookup = pods.ask(from, &Probe { attempt, timeout: LIMIT, ..Probe::new(question) }).await;
    let Outcome::Resolved(addresses) = &lookup.outcome else { return lookup };
    let Some(ip) = addresses.first().copied() else { return lookup };
    let probe = connect(SocketAddr::new(ip, port));
    match snapshot.lend(|s| refusal(s, ip)) {
        Some(why) => Observation { probe, outcome: Outcome::NotSent(format!("{name} leads to {ip}: {why}")), ..lookup },
        None => pods.ask(from, &probe).await,
    }
}

async fn resolve(plan: &Plan, place: usize, name: usize, replica: usize, pods: &dyn FromPods) -> Observation {
    let question = Question::Resolve { name: plan.names[name].clone(), server: Some(plan.replicas[replica].address) };
    let probe = Probe { timeout: LIMIT, ..Probe::new(question) };
    let first = pods.ask(&plan.places[place], &probe).await;
    match first.outcome {
        Outcome::NotResolved(_) => {
            tokio::time::sleep(PAUSE).await;
            pods.ask(&plan.places[place], &probe.again(1)).await
        }
        _ => first,
    }
}

/// Why an address that a name led to may not be probed: names are written by users.
fn refusal(snapshot: &Snapshot, ip: std::net::IpAddr) -> Option<String> {
    let ip = ip.to_canonical();
    if let Some(kind) = crate::probe::special(ip) {
        return Some(format!("a {kind} address is never probed"));
    }
    if landmarks::is_api_server(snapshot, ip) {
        return Some("the API server is never probed".into());
    }
    snapshot.node_at(ip).map(|node| format!("node {} is never probed", node.meta.name))
}

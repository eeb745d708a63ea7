//! Connectivity checks: when each is due, and what is written of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::agents::Agents;
use super::state::State;
use super::writer;
use crate::api::{ConnectivityCheck, ConnectivityCheckSpec, Destination, FIELD_MANAGER, Source};
use crate::connectivity::{self, FromPods, Place, Where};
use crate::diagnose::{duration, pause};
use crate::path::dns::KNOWN_NAME;
use crate::probe::{Observation, Probe};
use crate::snapshot::kubernetes::follow::{Change, Reached, follow, key_of};
use crate::snapshot::kubernetes::list::root;
use crate::snapshot::objects::Key;
use crate::vantage::Lends;

/// Time between two rounds where a check does not say.
const INTERVAL: Duration = Duration::from_secs(30);
/// Rounds under way at once.
const AT_ONCE: usize = 8;
/// Changes held back while they are applied.
const BUFFER: usize = 64;
/// Name of the check that is there by itself.
const BUILT_IN: &str = "cluster";

/// What checks need.
pub struct Checks {
    /// For statuses.
    pub client: Client,
    /// What is declared.
    pub state: Arc<State>,
    /// Who asks from inside pods.
    pub pods: Arc<dyn FromPods>,
    /// Namespace of the controller.
    pub controller: String,
    /// Namespace of the agents.
    pub agents: String,
}

/// A check, and when it is due.
struct Entry {
    check: ConnectivityCheck,
    due: Instant,
    running: bool,
    round: u64,
}

/// Asks every check at its interval while this replica leads. Ends when it is aborted.
pub async fn run(checks: Arc<Checks>, mut leader: watch::Receiver<bool>) {
    let (sender, mut changes) = mpsc::channel(BUFFER);
    let api = Api::<ConnectivityCheck>::all(checks.client.clone());
    let _following = tokio::spawn(follow(api, None, Arc::new(Reached::default()), sender, |change| change));
    let mut entries: BTreeMap<Key, Entry> = BTreeMap::new();
    let mut rounds = JoinSet::new();
    let mut made = false;
    loop {
        let leads = *leader.borrow();
        if leads && !made {
            made = make_built_in(&checks).await;
        }
        if leads && checks.state.is_complete() {
            begin_due(&checks, &mut entries, &mut rounds);
        }
        let next = entries.values().filter(|e| !e.running).map(|e| e.due).min();
        let pause = next.map_or(INTERVAL, |due| due.saturating_duration_since(Instant::now())).max(Duration::from_millis(500));
        tokio::select! {
            change = changes.recv() => match change {
                Some(change) => apply(&mut entries, change),
                None => return,
            },
            Some(Ok((key, written))) = rounds.join_next() => end(&mut entries, &key, written),
            changed = leader.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn apply(entries: &mut BTreeMap<Key, Entry>, change: Change<ConnectivityCheck>) {
    match change {
        Change::Changed(check) => {
            let now = Instant::now();
            let entry = entries.entry(key_of(&check)).or_insert_with(|| Entry { check: check.clone(), due: now, running: false, round: 0 });
            if entry.check.spec != check.spec {
                entry.due = now;
            }
            entry.check = check;
        }
        Change::Removed(key) => drop(entries.remove(&key)),
        Change::Listed(present) => entries.retain(|key, _| present.contains(key)),
        // What is known is asked on; only what others change meanwhile is seen later.
        Change::Failed(why) => tracing::warn!(why, "connectivity checks cannot be watched"),
    }
}

type Written = (Key, Option<ConnectivityCheck>);

fn begin_due(checks: &Arc<Checks>, entries: &mut BTreeMap<Key, Entry>, rounds: &mut JoinSet<Written>) {
    let now = Instant::now();
    for (key, entry) in entries.iter_mut().filter(|(_, e)| !e.running && e.due <= now && !e.check.spec.suspend) {
        if rounds.len() >= AT_ONCE {
            return;
        }
        entry.running = true;
        entry.round += 1;
        let (checks, key, check, round) = (checks.clone(), key.clone(), entry.check.clone(), entry.round);
        rounds.spawn(async move { (key, one_round(&checks, check, round).await) });
    }
}

fn end(entries: &mut BTreeMap<Key, Entry>, key: &Key, written: Option<ConnectivityCheck>) {
    let Some(entry) = entries.get_mut(key) else { return };
    entry.running = false;
    let interval = entry.check.spec.interval.as_deref().and_then(duration).unwrap_or(INTERVAL);
    let verdict = written.as_ref().and_then(|c| c.status.as_ref()).map(|s| s.verdict).unwrap_or_default();
    entry.due = Instant::now() + pause(verdict, interval);
    // What was written is what the next round goes on from, whether or not the watch has shown it.
    if let Some(written) = written {
        entry.check.status = written.status;
    }
}

/// Plans, asks, judges and writes. Returns the check with its status as it stands now; nothing where it could not be written.
async fn one_round(checks: &Checks, mut check: ConnectivityCheck, round: u64) -> Option<ConnectivityCheck> {
    let before = check.status.clone().unwrap_or_default();
    let (spec, generation) = (&check.spec, check.metadata.generation);
    let own = check.metadata.namespace.clone().unwrap_or_default();
    let place = Where { check: &own, controller: &checks.controller, agents: &checks.agents };
    let status = match checks.state.lend(|s| connectivity::plan(s, &place, spec, round)) {
        Ok(mut plan) => {
            plan.ask_again(&before.failing);
            let answers = connectivity::run(&*checks.state, &plan, spec.expect, &*checks.pods).await;
            let judged = checks.state.lend(|s| connectivity::judge(s, &plan, spec.expect, &answers));
            connectivity::succeed(&before, spec, judged, Timestamp::now(), generation)
        }
        Err(why) => connectivity::rejected(&before, spec, &why, Timestamp::now(), generation),
    };
    if check.status.is_some() && connectivity::says_the_same(&before, &status) {
        return Some(check);
    }
    match writer::write_status(&checks.client, &check, &status).await {
        Ok(_) => {
            tracing::info!(check = %key_of(&check), verdict = %status.verdict, cause = status.cause.as_deref().unwrap_or("-"), "status written");
            check.status = Some(status);
            Some(check)
        }
        Err(error) => {
            tracing::warn!(check = %key_of(&check), error = %root(&error), "status not written, trying again");
            None
        }
    }
}

/// Makes the check of all nodes and of DNS. Whoever changes it keeps what was changed, since only what it lacks is put in. Returns whether it is there.
async fn make_built_in(checks: &Checks) -> bool {
    let everyone = Some(Default::default());
    let spec = ConnectivityCheckSpec {
        from: Source { nodes: everyone.clone(), ..Source::default() },
        to: Some(Destination { nodes: everyone, ..Destination::default() }),
        dns: Some(vec![KNOWN_NAME.to_owned()]),
        ..ConnectivityCheckSpec::default()
    };
    let metadata = ObjectMeta {
        name: Some(BUILT_IN.into()),
        namespace: Some(checks.controller.clone()),
        labels: Some(crate::api::labels()),
        ..ObjectMeta::default()
    };
    let check = ConnectivityCheck { metadata, spec, status: None };
    let api = Api::<ConnectivityCheck>::namespaced(checks.client.clone(), &checks.controller);
    match writer::in_time(api.patch(BUILT_IN, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(&check))).await {
        Ok(_) => true,
        // Somebody else's word stands.
        Err(kube::Error::Api(status)) if status.code == 409 => true,
        Err(error) => {
            tracing::warn!(error = %root(&error), "the check of all nodes is not made, trying again");
            false
        }
    }
}

impl FromPods for Agents {
    fn ask<'a>(&'a self, from: &'a Place, probe: &'a Probe) -> BoxFuture<'a, Observation> {
        Box::pin(async move {
            let asked = Agents::ask(self, &from.node, &from.pod, probe).await;
            asked.unwrap_or_else(|why| Observation::not_sent(probe.clone(), from.name.clone(), Timestamp::now(), why.to_string()))
        })
    }
}

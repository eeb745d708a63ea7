//! From watch events to targets that are due.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};

use super::queue::Queue;
use super::state::{State, key_of};
use crate::api::Diagnosis;
use crate::path::gateway;
use crate::snapshot::kubernetes::list::root;
use crate::snapshot::kubernetes::watch::{self, Event};
use crate::snapshot::objects::{Key, Kind, ObjectRef};

/// How long the Services in front of gateways are taken as known: finding them looks at every pod.
const GATEWAYS_KNOWN: Duration = Duration::from_secs(5);

/// Feeds the state and the queue until it is aborted.
pub async fn run(client: Client, state: Arc<State>, queue: Arc<Queue>) {
    let objects = objects(watch::all(&client), &state, &queue);
    let diagnoses = diagnoses(Api::all(client.clone()), &state, &queue);
    tokio::join!(objects, diagnoses);
}

async fn objects(mut events: tokio::sync::mpsc::Receiver<Event>, state: &State, queue: &Queue) {
    let mut gateways = Gateways::default();
    while let Some(event) = events.recv().await {
        let touched = touched(state, &mut gateways, event);
        if begun(state, queue) {
            touched.into_iter().for_each(|t| queue.touch(t));
        }
    }
}

/// Whether everything is known. The moment it is, everything is due once.
fn begun(state: &State, queue: &Queue) -> bool {
    if state.begun.load(Ordering::Relaxed) {
        return true;
    }
    let complete = state.is_complete();
    if complete && !state.begun.swap(true, Ordering::Relaxed) {
        begin(state, queue);
    }
    complete
}

fn begin(state: &State, queue: &Queue) {
    let ingresses = state.snapshot().references(Kind::Ingress);
    let others: Vec<ObjectRef> = state.diagnoses().targets().cloned().collect();
    let all: BTreeSet<ObjectRef> = ingresses.into_iter().chain(others).collect();
    tracing::info!(targets = all.len(), "everything is listed");
    all.into_iter().for_each(|t| queue.touch(t));
}

fn touched(state: &State, gateways: &mut Gateways, event: Event) -> BTreeSet<ObjectRef> {
    let about = match &event {
        Event::Changed(object) => Some(object.reference()),
        Event::Removed(reference) => Some(reference.clone()),
        Event::Listed(..) | Event::Failed(..) => None,
    };
    if let Event::Failed(kind, why) = &event {
        tracing::warn!(%kind, reason = why, "cannot be watched");
    }
    let all_again = match &event {
        // What a kind's loss or return means for a verdict can be anything.
        Event::Listed(kind, _) | Event::Failed(kind, _) => Some(*kind),
        Event::Changed(_) | Event::Removed(_) => None,
    };
    let mut snapshot = state.snapshot_mut();
    let mut services = BTreeSet::new();
    let mut targets = BTreeSet::new();
    let mut note = |snapshot: &crate::snapshot::Snapshot, reference: &ObjectRef| {
        services.extend(snapshot.services_touched_by(reference));
        targets.extend(snapshot.ingresses_touched_by(reference));
    };
    if let Some(reference) = &about {
        note(&snapshot, reference);
    }
    let changed = watch::apply(&mut snapshot, event);
    if changed.is_empty() && all_again.is_none() {
        return BTreeSet::new();
    }
    changed.iter().for_each(|reference| note(&snapshot, reference));
    if all_again.is_some() || services.iter().any(|s| gateways.contain(&snapshot, s)) {
        targets.extend(snapshot.references(Kind::Ingress));
    }
    targets.extend(services.iter().flat_map(|s| snapshot.targets_of(s)));
    targets
}

/// The Services in front of gateways, looked up anew after a while.
#[derive(Debug, Default)]
struct Gateways {
    known: BTreeSet<Key>,
    at: Option<Instant>,
}

impl Gateways {
    fn contain(&mut self, snapshot: &crate::snapshot::Snapshot, service: &Key) -> bool {
        if self.at.is_none_or(|at| at.elapsed() > GATEWAYS_KNOWN) {
            self.known = gateway::services(snapshot);
            self.at = Some(Instant::now());
        }
        self.known.contains(service)
    }
}

async fn diagnoses(api: Api<Diagnosis>, state: &State, queue: &Queue) {
    let mut stream = pin!(watcher(api, watcher::Config::default()).default_backoff());
    let mut listed = BTreeSet::new();
    while let Some(event) = stream.next().await {
        let touched: Vec<ObjectRef> = match event {
            Ok(watcher::Event::Init) => {
                listed.clear();
                Vec::new()
            }
            Ok(watcher::Event::InitApply(diagnosis)) => {
                listed.insert(key_of(&diagnosis));
                state.diagnoses_mut().apply(diagnosis).into_iter().collect()
            }
            Ok(watcher::Event::InitDone) => {
                let mut diagnoses = state.diagnoses_mut();
                diagnoses.listed = true;
                diagnoses.keep(&std::mem::take(&mut listed))
            }
            Ok(watcher::Event::Apply(diagnosis)) => state.diagnoses_mut().apply(diagnosis).into_iter().collect(),
            Ok(watcher::Event::Delete(diagnosis)) => state.diagnoses_mut().remove(&key_of(&diagnosis)).into_iter().collect(),
            Err(error) => {
                tracing::warn!(error = %root(&error), "watch of Diagnoses failed, trying again");
                Vec::new()
            }
        };
        if begun(state, queue) {
            touched.into_iter().for_each(|t| queue.touch(t));
        }
    }
}

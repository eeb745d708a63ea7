//! From watch events to targets that are due.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kube::{Api, Client};
use tokio::sync::mpsc;

use super::state::State;
use super::touched;
use crate::api::Diagnosis;
use crate::queue::Queue;
use crate::snapshot::kubernetes::follow::{Change, Reached, follow};
use crate::snapshot::kubernetes::watch::{self, Event};
use crate::snapshot::objects::{Kind, ObjectRef};

/// Changes of Diagnoses held back while they are applied.
const BUFFER: usize = 256;

/// Feeds the state and the queue until it is aborted.
pub async fn run(client: Client, state: Arc<State>, queue: Arc<Queue>) {
    let reached = Arc::new(Reached::default());
    let (sender, changes) = mpsc::channel(BUFFER);
    let follow = follow(Api::<Diagnosis>::all(client.clone()), None, reached.clone(), sender, |change| change);
    let objects = objects(watch::all(&client, &reached), &state, &queue);
    let diagnoses = diagnoses(changes, &state, &queue);
    tokio::join!(objects, follow, diagnoses);
}

async fn objects(mut events: tokio::sync::mpsc::Receiver<Event>, state: &State, queue: &Queue) {
    while let Some(event) = events.recv().await {
        if state.begun.load(Ordering::Relaxed) {
            let touched = touched::apply(&mut state.snapshot_mut(), event);
            touched.into_iter().for_each(|t| queue.touch(t));
            continue;
        }
        // Before everything is known nothing is due, and then everything is. Only the end of a list or of a watch can be what was missing.
        let last = matches!(event, Event::Listed(..) | Event::Failed(..));
        watch::apply(&mut state.snapshot_mut(), event);
        if state.begun.load(Ordering::Relaxed) {
            begin(state, queue);
        } else if last {
            begun(state, queue);
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

async fn diagnoses(mut changes: mpsc::Receiver<Change<Diagnosis>>, state: &State, queue: &Queue) {
    while let Some(change) = changes.recv().await {
        let touched: Vec<ObjectRef> = match change {
            Change::Changed(diagnosis) => state.diagnoses_mut().apply(diagnosis).into_iter().collect(),
            Change::Removed(key) => state.diagnoses_mut().remove(&key).into_iter().collect(),
            Change::Listed(present) => {
                let mut diagnoses = state.diagnoses_mut();
                diagnoses.listed = true;
                diagnoses.keep(&present)
            }
            // What is written is written on; only what others change meanwhile is seen later.
            Change::Failed(_) => Vec::new(),
        };
        if begun(state, queue) {
            touched.into_iter().for_each(|t| queue.touch(t));
        }
    }
}

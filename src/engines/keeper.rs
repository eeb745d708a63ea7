//! One engine, kept up to date.
//!
//! ```text
//! events ──► Changes ──► reading: Inventory, renewed ──► Host, swapped as a whole ──► touched gateways ──► Queue
//!                                                                                                         │
//!                                                        documents, resources ◄── examining: workers ◄────┘
//! ```

mod examining;
mod reading;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::changes::Changes;
use super::{Options, Writer};
use crate::api::{Diagnosis, DiagnosisSpec, DiagnosisStatus};
use crate::diagnose::{Conclusion, succeed, target_of};
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::report::document;
use crate::snapshot::Snapshot;
use crate::snapshot::docker::engine::{self, Connection};
use crate::snapshot::objects::ObjectRef;
use crate::snapshot::objects::docker::Host;
use crate::vantage::Lends;
use crate::vantage::container::Containers;

/// Gateways examined at once.
const AT_ONCE: usize = 16;

/// One engine with the documents of its gateways.
pub struct Keeper {
    connection: Connection,
    interval: Duration,
    helper_image: String,
    writer: Option<Writer>,
    changes: Changes,
    queue: Arc<Queue>,
    /// The engine's host, once it was read.
    snapshot: RwLock<Snapshot>,
    containers: OnceCell<Containers>,
    /// Why the engine does not answer, while it does not.
    silence: Mutex<Option<String>>,
    documents: Mutex<BTreeMap<ObjectRef, Diagnosis>>,
    /// Targets whose documents do not follow yet what happened then.
    behind: Mutex<BTreeMap<ObjectRef, Instant>>,
    metrics: Arc<Metrics>,
}

impl Lends for Keeper {
    fn lend<R>(&self, f: impl FnOnce(&Snapshot) -> R) -> R {
        f(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Keeper {
    /// Of an engine that answers.
    pub fn new(connection: Connection, options: &Options, metrics: Arc<Metrics>) -> Self {
        let queue = Arc::new(Queue::default());
        metrics.count_queue(&queue);
        Keeper {
            connection,
            interval: options.interval,
            helper_image: options.helper_image.clone(),
            writer: options.writer.clone(),
            changes: Changes::default(),
            queue,
            snapshot: RwLock::default(),
            containers: OnceCell::new(),
            silence: Mutex::default(),
            documents: Mutex::default(),
            behind: Mutex::default(),
            metrics,
        }
    }

    /// The documents of all gateways, in order.
    pub fn documents(&self) -> Vec<Diagnosis> {
        lock(&self.documents).values().cloned().collect()
    }

    /// Follows the engine for ever. Whoever gives up on it ends everything that it does.
    pub async fn watch(self: &Arc<Self>) {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().follow());
        tasks.spawn(self.clone().read());
        for _ in 0..AT_ONCE {
            tasks.spawn(self.clone().work());
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Ends what still runs for it.
    pub async fn close(&self) {
        if let Some(containers) = self.containers.get() {
            containers.close().await;
        }
    }

    /// Takes the engine's events, whether or not somebody waits for them.
    async fn follow(self: Arc<Self>) {
        let mut watched = pin!(engine::watch(self.connection.clone()));
        while let Some(touched) = watched.next().await {
            self.changes.add(touched);
        }
    }

    /// The engine's host, as it was read last.
    fn host(&self) -> Option<Arc<Host>> {
        self.lend(|snapshot| snapshot.docker_hosts().next().cloned())
    }

    /// What a target's document says.
    fn status(&self, target: &ObjectRef) -> DiagnosisStatus {
        lock(&self.documents).get(target).and_then(|d| d.status.clone()).unwrap_or_default()
    }

    async fn keep(&self, target: &ObjectRef, before: &DiagnosisStatus, conclusion: Conclusion) {
        let status = succeed(before, conclusion, Timestamp::now(), None);
        if status.verdict != before.verdict || status.cause != before.cause {
            tracing::info!(%target, verdict = %status.verdict, cause = status.cause.as_deref().unwrap_or("-"), "diagnosed");
        }
        let spec = DiagnosisSpec { target: target_of(target), ..DiagnosisSpec::default() };
        lock(&self.documents).insert(target.clone(), document::of(target, spec, status.clone()));
        if let Some(writer) = &self.writer {
            writer.write(target, &status).await;
        }
    }

    /// A target is due, for something that happened then.
    fn touch(&self, target: ObjectRef, since: Instant) {
        self.fall_behind(&target, since);
        self.queue.touch(target);
    }

    fn fall_behind(&self, target: &ObjectRef, since: Instant) {
        lock(&self.behind).entry(target.clone()).and_modify(|at| *at = since.min(*at)).or_insert(since);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

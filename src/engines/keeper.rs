//! One engine, kept up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{Options, Writer, touched};
use crate::api::{Diagnosis, DiagnosisSpec, DiagnosisStatus, Verdict};
use crate::diagnose::{Conclusion, Settings, succeed, target_of};
use crate::metrics::Metrics;
use crate::probe::PodRef;
use crate::report::document;
use crate::snapshot::Snapshot;
use crate::snapshot::docker::engine::{self, Connection, EngineError, Touched};
use crate::snapshot::objects::ObjectRef;
use crate::snapshot::objects::docker::Host;
use crate::vantage::container::Containers;
use crate::vantage::{self, Lends};

/// Events that come together are handled together.
const WINDOW: Duration = Duration::from_millis(250);
/// A verdict that got worse right after a change is looked at again before it is believed: what was started may still be starting.
const SETTLE: Duration = Duration::from_secs(2);
/// Pause before an engine that did not answer is asked again.
const RETRY: Duration = Duration::from_secs(2);
/// Events that may wait to be looked at.
const WAITING: usize = 4096;
/// Gateways examined at once.
const AT_ONCE: usize = 16;

/// One engine with the documents of its gateways.
pub struct Keeper {
    connection: Connection,
    interval: Duration,
    helper_image: String,
    writer: Option<Writer>,
    snapshot: RwLock<Snapshot>,
    containers: tokio::sync::OnceCell<Containers>,
    documents: Mutex<BTreeMap<ObjectRef, Diagnosis>>,
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
        Keeper {
            connection,
            interval: options.interval,
            helper_image: options.helper_image.clone(),
            writer: options.writer.clone(),
            snapshot: RwLock::default(),
            containers: tokio::sync::OnceCell::new(),
            documents: Mutex::default(),
            metrics,
        }
    }

    /// The documents of all gateways, in order.
    pub fn documents(&self) -> Vec<Diagnosis> {
        self.kept().values().cloned().collect()
    }

    /// Follows the engine for ever.
    pub async fn watch(&self) {
        let mut events = self.follow();
        let mut changes = BTreeSet::from([Touched::Everything]);
        loop {
            if let Err(error) = self.look(&changes).await {
                tracing::warn!(%error, "the engine could not be read");
                self.lose(&error).await;
                tokio::time::sleep(RETRY).await;
                changes = BTreeSet::from([Touched::Everything]);
                continue;
            }
            changes = self.next_changes(&mut events).await;
        }
    }

    /// The engine's events, from now on, whether or not somebody waits for them.
    fn follow(&self) -> mpsc::Receiver<Touched> {
        let (sender, events) = mpsc::channel(WAITING);
        let connection = self.connection.clone();
        tokio::spawn(async move {
            let mut watched = pin!(engine::watch(connection));
            while let Some(touched) = watched.next().await {
                if sender.send(touched).await.is_err() {
                    break;
                }
            }
        });
        events
    }

    /// Ends what still runs for it.
    pub async fn close(&self) {
        if let Some(containers) = self.containers.get() {
            containers.close().await;
        }
    }

    /// The changes of the next window; everything where nothing changes for the whole interval.
    async fn next_changes(&self, events: &mut mpsc::Receiver<Touched>) -> BTreeSet<Touched> {
        let Ok(first) = tokio::time::timeout(self.interval, events.recv()).await else { return BTreeSet::from([Touched::Everything]) };
        let mut changes: BTreeSet<Touched> = first.into_iter().collect();
        let end = tokio::time::Instant::now() + WINDOW;
        while let Ok(Some(change)) = tokio::time::timeout_at(end, events.recv()).await {
            changes.insert(change);
        }
        changes
    }

    /// Reads the engine, and examines what the changes touch.
    async fn look(&self, changes: &BTreeSet<Touched>) -> Result<(), EngineError> {
        let host = self.read().await?;
        let before = self.lend(|s| s.docker_host(&host.name).cloned());
        let mut targets = before.map(|before| self.lend(|s| touched::touched(s, &before, changes))).unwrap_or_default();
        let mut snapshot = Snapshot::default();
        snapshot.set_docker_host(host.clone());
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
        targets.extend(self.lend(|s| touched::touched(s, &host, changes)));
        let all: BTreeSet<ObjectRef> = touched::gateways(&host).collect();
        self.forget(&all).await;
        // A gateway that was not there before has no document yet.
        targets.extend(all.iter().filter(|target| !self.kept().contains_key(*target)).cloned());
        let changed = Instant::now();
        let examining = targets.iter().filter(|target| all.contains(*target)).map(|target| self.bring_up_to_date(&host, target, changed));
        futures::stream::iter(examining).buffer_unordered(AT_ONCE).collect::<()>().await;
        Ok(())
    }

    async fn read(&self) -> Result<Host, EngineError> {
        let inventory = engine::load(&self.connection, &BTreeSet::new()).await?;
        let engine = &inventory.engine;
        let containers =
            self.containers.get_or_init(|| async { Containers::of_engine(&self.connection, engine, &self.helper_image) }).await;
        Ok(containers.host(inventory).await)
    }

    async fn bring_up_to_date(&self, host: &Host, target: &ObjectRef, changed: Instant) {
        let (Some(containers), Some(gateway)) = (self.containers.get(), host.container(&target.key.name)) else { return };
        let before = self.kept().get(target).and_then(|d| d.status.clone()).unwrap_or_default();
        let vantage = containers.of(PodRef::of_container(gateway));
        loop {
            let begun = Instant::now();
            let conclusion = vantage::examine(self, &vantage, target.clone(), Settings::default()).await;
            self.metrics.examined(conclusion.verdict(), begun.elapsed());
            let worse = matches!(conclusion.verdict(), Verdict::Failing | Verdict::Degraded) && conclusion.verdict() > before.verdict;
            if worse && before.since.is_some() && changed.elapsed() < SETTLE {
                tokio::time::sleep(SETTLE.saturating_sub(changed.elapsed()).min(Duration::from_millis(500))).await;
                continue;
            }
            return self.keep(target, &before, conclusion).await;
        }
    }

    async fn keep(&self, target: &ObjectRef, before: &DiagnosisStatus, conclusion: Conclusion) {
        let status = succeed(before, conclusion, Timestamp::now(), None);
        if status.verdict != before.verdict || status.cause != before.cause {
            tracing::info!(%target, verdict = %status.verdict, cause = status.cause.as_deref().unwrap_or("-"), "diagnosed");
        }
        let spec = DiagnosisSpec { target: target_of(target), ..DiagnosisSpec::default() };
        self.kept().insert(target.clone(), document::of(target, spec, status.clone()));
        if let Some(writer) = &self.writer {
            writer.write(target, &status).await;
        }
    }

    /// Forgets gateways that are gone. Their resources stay, since nothing is ever deleted, and say so.
    async fn forget(&self, all: &BTreeSet<ObjectRef>) {
        let gone: Vec<ObjectRef> = self.kept().keys().filter(|target| !all.contains(*target)).cloned().collect();
        for target in gone {
            let before = self.kept().get(&target).and_then(|d| d.status.clone()).unwrap_or_default();
            self.keep(&target, &before, Conclusion::unseen(&target, format!("{target} is no gateway any more"))).await;
            self.kept().remove(&target);
        }
    }

    /// Nothing is known any more while the engine does not answer.
    async fn lose(&self, error: &EngineError) {
        let targets: Vec<ObjectRef> = self.kept().keys().cloned().collect();
        for target in targets {
            let before = self.kept().get(&target).and_then(|d| d.status.clone()).unwrap_or_default();
            self.keep(&target, &before, Conclusion::unseen(&target, error.to_string())).await;
        }
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<ObjectRef, Diagnosis>> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

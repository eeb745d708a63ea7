//! Reads the engine: whole at the interval and where events may have been lost, else only what events touch.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::super::touched;
use super::{Keeper, lock};
use crate::api::{DiagnosisStatus, Verdict};
use crate::report::document;
use crate::snapshot::Snapshot;
use crate::snapshot::docker::Inventory;
use crate::snapshot::docker::engine::{self, EngineError, Touched};
use crate::snapshot::objects::docker::Host;
use crate::snapshot::objects::{ObjectRef, Text};
use crate::vantage::Lends;
use crate::vantage::container::Containers;

/// Gateways whose files are read again with each whole read: so many that work, and so many that do not.
const FILES_AT_ONCE: usize = 10;
/// Pause before an engine that did not answer is asked again.
const RETRY: Duration = Duration::from_secs(2);

impl Keeper {
    /// Reads the engine for ever, and touches the gateways that changes are about.
    pub(super) async fn read(self: Arc<Self>) {
        loop {
            let Err(error) = self.read_while_it_answers().await;
            tracing::warn!(%error, "the engine could not be read");
            self.lose(&error);
            sleep(RETRY).await;
        }
    }

    async fn read_while_it_answers(&self) -> Result<Infallible, EngineError> {
        self.changes.recover();
        let mut inventory = engine::load(&self.connection, &BTreeSet::new()).await?;
        let mut read_at = BTreeMap::new();
        self.take_over(&inventory.name).await;
        self.show(&mut inventory, Some(BTreeSet::from([Touched::Everything])), Instant::now()).await;
        loop {
            let pause = async {
                tokio::select! {
                    () = sleep(self.interval) => {}
                    () = self.changes.lost() => {}
                }
            };
            self.renew_until(&mut inventory, pause).await?;
            let (since, lost) = (Instant::now(), self.changes.recover());
            let (known, stale) = (inventory.clone(), self.stale(&mut read_at));
            // A task of its own, since it would time out where nobody looks after it while events are followed.
            let connection = self.connection.clone();
            let mut whole = JoinSet::new();
            whole.spawn(async move { engine::load_again(&connection, &known, &stale).await });
            let (read, meanwhile) = self.renew_until(&mut inventory, whole.join_next()).await?;
            let Some(Ok(read)) = read else { continue };
            inventory = read?;
            // What changed while it was read may have been read before it changed.
            self.renew(&mut inventory, &meanwhile).await?;
            self.show(&mut inventory, lost.then(|| BTreeSet::from([Touched::Everything])), since).await;
            self.touch_the_broken(since);
        }
    }

    /// Goes on where whoever kept this host before has ended.
    async fn take_over(&self, host: &str) {
        let (Some(writer), None) = (&self.writer, self.host()) else { return };
        let written = writer.written_before(host).await;
        let documents = written.into_iter().filter_map(|(target, written)| {
            let document = document::of(&target, written.spec, written.status?);
            Some((target, document))
        });
        lock(&self.documents).extend(documents);
    }

    /// Renews what events touch until something else is ready; says what that was.
    async fn renew_until<T>(&self, inventory: &mut Inventory, end: impl Future<Output = T>) -> Result<(T, BTreeSet<Touched>), EngineError> {
        let (mut end, mut renewed) = (pin!(end), BTreeSet::new());
        loop {
            tokio::select! {
                ended = &mut end => return Ok((ended, renewed)),
                batch = self.changes.next() => {
                    self.renew(inventory, &batch.touched).await?;
                    renewed.extend(batch.touched.iter().cloned());
                    self.show(inventory, Some(batch.touched), batch.since).await;
                }
            }
        }
    }

    async fn renew(&self, inventory: &mut Inventory, touched: &BTreeSet<Touched>) -> Result<(), EngineError> {
        let fresh = engine::load_touched(&self.connection, inventory, touched).await?;
        inventory.renew(fresh);
        Ok(())
    }

    /// Swaps the host for what was read, and touches the gateways that changes are about, before and after: those that events said, else what
    /// differs.
    async fn show(&self, inventory: &mut Inventory, changes: Option<BTreeSet<Touched>>, since: Instant) {
        let engine = &inventory.engine;
        let containers =
            self.containers.get_or_init(|| async { Containers::of_engine(&self.connection, engine, &self.helper_image) }).await;
        let host = containers.host(inventory).await;
        let differences = || self.host().map(|before| touched::differences(&before, &host)).unwrap_or_default();
        let mut changes = changes.unwrap_or_else(differences);
        if lock(&self.silence).take().is_some() {
            changes.insert(Touched::Everything);
        }
        let mut targets = self.touched(&changes);
        self.swap(host);
        targets.extend(self.touched(&changes));
        targets.extend(self.come_and_gone());
        targets.into_iter().for_each(|target| self.touch(target, since));
    }

    fn touched(&self, changes: &BTreeSet<Touched>) -> BTreeSet<ObjectRef> {
        self.host().map(|host| self.lend(|snapshot| touched::touched(snapshot, &host, changes))).unwrap_or_default()
    }

    fn swap(&self, host: Host) {
        let mut snapshot = Snapshot::default();
        snapshot.set_docker_host(host);
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// Gateways that have no document yet, and documents whose gateway is gone.
    fn come_and_gone(&self) -> BTreeSet<ObjectRef> {
        let all: BTreeSet<ObjectRef> = self.host().iter().flat_map(|host| touched::gateways(host).collect::<Vec<_>>()).collect();
        let kept: BTreeSet<ObjectRef> = lock(&self.documents).keys().cloned().collect();
        all.symmetric_difference(&kept).cloned().collect()
    }

    /// The gateways whose files are read again now: those first whose were not for the longest time.
    fn stale(&self, read_at: &mut BTreeMap<Text, Instant>) -> BTreeSet<String> {
        let (broken, all) = (self.broken(), self.host().map(|host| touched::gateways(&host).collect::<Vec<_>>()).unwrap_or_default());
        let (broken, working): (Vec<_>, Vec<_>) = all.into_iter().partition(|target| broken.contains(target));
        let mut stale = BTreeSet::new();
        for mut targets in [broken, working] {
            targets.sort_by_key(|target| read_at.get(&target.key.name).copied());
            for target in targets.into_iter().take(FILES_AT_ONCE) {
                read_at.insert(target.key.name.clone(), Instant::now());
                stale.insert(target.key.name.to_string());
            }
        }
        stale
    }

    /// What does not work may do so for a reason that no event tells, as a rule of the packet filter.
    fn touch_the_broken(&self, since: Instant) {
        self.broken().into_iter().for_each(|target| self.touch(target, since));
    }

    fn broken(&self) -> BTreeSet<ObjectRef> {
        let works = |status: Option<&DiagnosisStatus>| status.is_some_and(|s| s.verdict == Verdict::Healthy);
        lock(&self.documents).iter().filter(|(_, d)| !works(d.status.as_ref())).map(|(target, _)| target.clone()).collect()
    }

    /// Nothing is known any more while the engine does not answer.
    fn lose(&self, error: &EngineError) {
        let (why, since) = (error.to_string(), Instant::now());
        if lock(&self.silence).replace(why.clone()) == Some(why) {
            return;
        }
        let targets: Vec<ObjectRef> = lock(&self.documents).keys().cloned().collect();
        targets.into_iter().for_each(|target| self.touch(target, since));
    }
}

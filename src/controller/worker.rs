//! Examines targets that are due, and writes what changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Options;
use super::agents::Agents;
use super::diagnoses::Document;
use super::events::Publisher;
use super::pulses::Pulses;
use super::state::{State, opted_out};
use super::writer;
use crate::api::{ANNOTATION_DIAGNOSE, Confidence, Diagnosis, DiagnosisStatus, Verdict};
use crate::diagnose::{Beat, Conclusion, Settings, has_cause, pause, succeed};
use crate::fact::Fact;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::snapshot::kubernetes::follow::key_of;
use crate::snapshot::kubernetes::list::root;
use crate::snapshot::objects::{Key, Kind, ObjectRef};
use crate::vantage;
use crate::vantage::local::Local;
use crate::vantage::placed::Placed;

/// A gateway takes up to this long to follow a change; a bad verdict right after one waits for another look.
const SETTLE: Duration = Duration::from_millis(1500);
/// The same where no cause was found, or none that is more than possible, which is how a gateway that is still busy looks.
const SETTLE_WITHOUT_CAUSE: Duration = Duration::from_secs(6);
/// A gateway may still serve what was before a change, so a target is looked at again and again until this long after it.
const FOLLOW_UP: Duration = Duration::from_secs(7);
/// Pause between such looks.
const FOLLOW_UP_PAUSE: Duration = Duration::from_secs(1);
/// What does not work is asked again this soon where the cause may still turn out to be another one, and routes are few.
const ASK_EARLY: Duration = Duration::from_secs(3);
/// A cause that stands for so long is taken for the one.
const EARLY: SignedDuration = SignedDuration::from_secs(60);
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(5);

/// What all workers share.
pub struct Shared {
    client: Client,
    state: Arc<State>,
    pub(super) queue: Arc<Queue>,
    pub(super) metrics: Arc<Metrics>,
    here: Local,
    agents: Arc<Agents>,
    events: Publisher,
    /// Routes that are asked between their examinations.
    pub(super) pulses: Pulses,
    /// How long the slowest answer took when a Diagnosis was last Healthy.
    usual: Mutex<HashMap<Key, Duration>>,
}

impl Shared {
    /// Puts it together.
    pub fn new(
        client: Client,
        options: &Options,
        state: Arc<State>,
        queue: Arc<Queue>,
        metrics: Arc<Metrics>,
        agents: Arc<Agents>,
    ) -> Arc<Self> {
        let servers = std::fs::read_to_string("/etc/resolv.conf").map(|text| crate::probe::dns::servers_of(&text)).unwrap_or_default();
        let here = Local::new(format!("pod {}/{}", options.namespace, options.identity), servers);
        let events = Publisher::new(client.clone(), &options.identity);
        Arc::new(Shared {
            client,
            state,
            queue,
            metrics,
            here,
            agents,
            events,
            pulses: Pulses::new(options.pulses),
            usual: Mutex::default(),
        })
    }

    /// Where a target is asked from.
    pub(super) fn vantage(&self, target: &ObjectRef) -> Placed<'_, State> {
        Placed::of(&self.here, &self.agents, &*self.state, target)
    }

    fn usual(&self) -> MutexGuard<'_, HashMap<Key, Duration>> {
        self.usual.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Workers under way.
pub struct Workers {
    tasks: JoinSet<()>,
    end: watch::Sender<bool>,
}

impl Workers {
    /// Takes no new work and waits for what is under way.
    pub async fn finish(mut self) {
        let _ = self.end.send(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Starts so many workers. They work only while this replica leads.
pub fn start(shared: &Arc<Shared>, leader: watch::Receiver<bool>, count: usize) -> Workers {
    let (end, ended) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        tasks.spawn(work(shared.clone(), leader.clone(), ended.clone()));
    }
    Workers { tasks, end }
}

async fn work(shared: Arc<Shared>, mut leader: watch::Receiver<bool>, mut ended: watch::Receiver<bool>) {
    loop {
        let target = tokio::select! {
            _ = ended.wait_for(|ended| *ended) => return,
            target = async {
                // An error means that the lease's task is gone, and with it the right to work.
                if leader.wait_for(|leads| *leads).await.is_err() {
                    std::future::pending::<()>().await;
                }
                shared.metrics.leader.set(1);
                shared.queue.next().await
            } => target,
        };
        // A lease that is lost stops what is under way; whoever leads next begins anew.
        let again = tokio::select! {
            again = handle(&shared, &target) => again,
            _ = leader.wait_for(|leads| !*leads) => {
                shared.metrics.leader.set(0);
                Some(Duration::ZERO)
            }
        };
        shared.queue.done(&target, again);
    }
}

/// Brings all Diagnoses of a target up to date. Returns when it is due again, or nothing where it is gone.
async fn handle(shared: &Shared, target: &ObjectRef) -> Option<Duration> {
    // Whoever watches that Docker host keeps its Diagnoses.
    if target.kind.is_of_docker() {
        return None;
    }
    let mut documents = shared.state.diagnoses().of(target);
    let exists = target.kind == Kind::Ingress && shared.state.snapshot().ingress(&target.key).known().is_some();
    let out = opted_out(&shared.state.snapshot(), target);
    let is_own = |d: &Document| d.diagnosis.metadata.name.as_deref() == Some(&crate::diagnose::document_name(target));
    let ending = shared.state.snapshot().namespace(&target.key.namespace).known().is_some_and(|n| n.meta.deleting);
    if exists && !out && !ending && !documents.iter().any(is_own) {
        match create(shared, target).await {
            Ok(made) => documents.push(made),
            Err(error) => {
                tracing::warn!(%target, %error, "Diagnosis not made, trying again");
                return Some(RETRY);
            }
        }
    }
    shared.pulses.rest(target);
    let mut again: Option<Duration> = None;
    let mut beats = Some(Vec::new());
    for document in documents {
        let visit = bring_up_to_date(shared, target, &document, out && is_own(&document)).await;
        again = Some(again.map_or(visit.again, |a| a.min(visit.again)));
        beats = beats.zip(visit.beats).map(|(all, own)| [all, own].concat());
    }
    match (again, beats) {
        (None, _) => shared.pulses.forget(target),
        (Some(_), Some(beats)) => shared.pulses.keep(target, beats),
        (Some(_), None) => {}
    }
    again
}

/// What came of bringing a Diagnosis up to date.
struct Visit {
    /// When it is due again.
    again: Duration,
    /// What may be asked until then; nothing where it is not up to date yet.
    beats: Option<Vec<Beat>>,
}

impl Visit {
    fn unfinished(again: Duration) -> Self {
        Visit { again, beats: None }
    }

    fn without_requests() -> Self {
        Visit { again: Duration::from_secs(3600), beats: Some(Vec::new()) }
    }
}

async fn create(shared: &Shared, target: &ObjectRef) -> Result<Document, String> {
    // The owner is read under the lock, the write happens outside of it.
    let uid = match shared.state.snapshot().ingress(&target.key) {
        Fact::Known(ingress) => ingress.meta.uid.clone(),
        _ => return Err(format!("{target} is gone")),
    };
    let draft = writer::draft(target, Some(("networking.k8s.io/v1", uid)));
    let made = writer::apply(&shared.client, &draft).await.map_err(|e| root(&e))?;
    shared.state.diagnoses_mut().apply(made.clone());
    Ok(Document::of(made))
}

async fn bring_up_to_date(shared: &Shared, target: &ObjectRef, kept: &Document, switched_off: bool) -> Visit {
    let document = &kept.diagnosis;
    let before = document.status.clone().unwrap_or_default();
    let generation = document.metadata.generation;
    let now = Timestamp::now();
    if document.spec.suspend {
        return Visit::without_requests();
    }
    let (mut conclusion, interval) = match Settings::parse(&document.spec) {
        _ if switched_off => {
            let why = format!("it is switched off by the annotation {ANNOTATION_DIAGNOSE}");
            (Conclusion::unseen(target, why), Duration::from_secs(3600))
        }
        Err(invalid) => (Conclusion::stalled(target, invalid.to_string()), Duration::from_secs(3600)),
        Ok(settings) => {
            let interval = settings.interval;
            let begun = std::time::Instant::now();
            let settings = Settings { usual: shared.usual().get(&key_of(document)).copied(), ..settings };
            let vantage = shared.vantage(target);
            // Answers from before and after a change do not go together, as where a pod is stopped in the middle of a request.
            let conclusion = tokio::select! {
                conclusion = vantage::examine(&*shared.state, &vantage, target.clone(), settings) => conclusion,
                () = shared.queue.disturbed(target) => return Visit::unfinished(Duration::ZERO),
            };
            shared.metrics.examined(conclusion.verdict(), begun.elapsed());
            if let Some(took) = conclusion.took {
                shared.usual().insert(key_of(document), took);
            }
            (conclusion, interval)
        }
    };
    let beats = if is_rare(interval) { Vec::new() } else { std::mem::take(&mut conclusion.beats) };
    let status = succeed(&before, conclusion, now, generation);
    if let Some(wait) = must_settle(shared, target, &before, &status) {
        return Visit::unfinished(wait);
    }
    if !kept.has(&status)
        && let Err(error) = write(shared, target, document, &before, &status).await
    {
        tracing::warn!(%target, %error, "status not written, trying again");
        // No worker goes on to the next target at once: an API server that is away or overloaded is not asked in a loop.
        tokio::time::sleep(RETRY).await;
        return Visit::unfinished(RETRY);
    }
    Visit { again: again(shared, target, &status, interval), beats: Some(beats) }
}

/// When a target with this status is due again.
fn again(shared: &Shared, target: &ObjectRef, status: &DiagnosisStatus, interval: Duration) -> Duration {
    if shared.queue.since_change(target).is_some_and(|since| since < FOLLOW_UP) {
        return FOLLOW_UP_PAUSE;
    }
    match status.verdict {
        Verdict::Degraded | Verdict::Failing if is_early(status) && !is_rare(interval) && shared.pulses.are_sent() => ASK_EARLY,
        verdict => jittered(pause(verdict, interval)),
    }
}

/// Who asks for a longer interval than usual asks for fewer requests.
fn is_rare(interval: Duration) -> bool {
    interval > Settings::default().interval
}

/// How long to wait for another look before a verdict that got worse right after a change, or is suspected to have got so, is believed.
fn must_settle(shared: &Shared, target: &ObjectRef, before: &DiagnosisStatus, status: &DiagnosisStatus) -> Option<Duration> {
    let worse = status.verdict > before.verdict || before.since.is_none();
    let window = if has_cause(status) { SETTLE } else { SETTLE_WITHOUT_CAUSE };
    let changed = shared.queue.since_doubt(target)?;
    let looked_bad = matches!(status.verdict, Verdict::Failing | Verdict::Degraded);
    let other_cause = status.cause != before.cause;
    // Kinds that come back after the API server was away come one after the other.
    let looked_away = status.verdict == Verdict::Unknown && before.verdict != Verdict::Unknown;
    let doubtful = ((worse || other_cause) && looked_bad) || looked_away;
    (doubtful && changed < window).then(|| (window - changed).min(SETTLE).max(Duration::from_millis(200)))
}

fn is_early(status: &DiagnosisStatus) -> bool {
    let since = status.since.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
    may_be_another(status) && since.is_some_and(|since| Timestamp::now().duration_since(since) < EARLY)
}

/// Whether the cause is not proven, or one that another one may explain once that shows.
fn may_be_another(status: &DiagnosisStatus) -> bool {
    let may_be_explained = |slug: &str| crate::causes::all().any(|cause| cause.explains.contains(&slug));
    status.findings.first().is_none_or(|f| f.confidence != Confidence::Proven || may_be_explained(&f.cause))
}

async fn write(
    shared: &Shared,
    target: &ObjectRef,
    document: &Diagnosis,
    before: &DiagnosisStatus,
    status: &DiagnosisStatus,
) -> Result<(), String> {
    let written = writer::write_status(&shared.client, document, status).await;
    shared.metrics.wrote(written.is_ok());
    let written = match written {
        Ok(written) => written,
        // It went with its route while it was examined.
        Err(kube::Error::Api(error)) if error.code == 404 => {
            shared.state.diagnoses_mut().remove(&key_of(document));
            shared.usual().remove(&key_of(document));
            return Ok(());
        }
        Err(error) => return Err(root(&error)),
    };
    tracing::info!(%target, verdict = %status.verdict, cause = status.cause.as_deref().unwrap_or("-"), "status written");
    shared.state.diagnoses_mut().apply(written);
    let transition = before.verdict != status.verdict || before.cause != status.cause;
    if transition && !(before.since.is_none() && status.verdict == Verdict::Healthy) {
        let uid = match target.kind {
            Kind::Ingress => shared.state.snapshot().ingress(&target.key).known().map(|i| i.meta.uid.clone()),
            _ => shared.state.snapshot().service(&target.key).known().map(|s| s.meta.uid.clone()),
        };
        if let Some(uid) = uid {
            shared.events.transition(target, &uid, document, status).await;
        }
    }
    Ok(())
}

/// A tenth more or less, so that routes made together are not asked together for ever.
fn jittered(interval: Duration) -> Duration {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let share = f64::from(u32::try_from(random % 2001).unwrap_or(1000)) / 10_000.0;
    interval.mul_f64(0.9 + share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Finding;

    #[test]
    fn what_is_not_proven_or_may_be_explained_is_looked_at_again_sooner() {
        let named = |cause: &str, confidence| {
            let finding = Finding { cause: cause.into(), confidence, ..Finding::default() };
            may_be_another(&DiagnosisStatus { findings: vec![finding], ..DiagnosisStatus::default() })
        };
        assert!(!named("scaled-to-zero", Confidence::Proven));
        assert!(named("scaled-to-zero", Confidence::Likely));
        assert!(named("eps-all-not-ready", Confidence::Proven), "why they are not ready may show later");
        assert!(may_be_another(&DiagnosisStatus::default()));
    }
}

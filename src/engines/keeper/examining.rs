//! Examines the gateways that are due, and keeps their documents.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Keeper, lock};
use crate::api::{DiagnosisStatus, Verdict};
use crate::diagnose::{Conclusion, Settings, pause};
use crate::probe::PodRef;
use crate::snapshot::objects::ObjectRef;
use crate::vantage;

/// A verdict that got worse right after a change is looked at again before it is believed: what was started may still be starting.
const SETTLE: Duration = Duration::from_secs(2);
/// Pause between such looks.
const SETTLE_PAUSE: Duration = Duration::from_millis(500);

impl Keeper {
    /// Examines what is due for ever.
    pub(super) async fn work(self: Arc<Self>) {
        loop {
            let target = self.queue.next().await;
            let again = self.bring_up_to_date(&target).await;
            self.queue.done(&target, again);
        }
    }

    /// Returns when the target is due again, or nothing where it is no gateway any more.
    async fn bring_up_to_date(&self, target: &ObjectRef) -> Option<Duration> {
        let before = self.status(target);
        let due = lock(&self.behind).remove(target);
        let silence = lock(&self.silence).clone();
        let (conclusion, again) = match (silence, self.gateway(target)) {
            (Some(why), _) => (Conclusion::unseen(target, why), Some(self.interval)),
            (None, None) => return self.forget(target, &before).await,
            (None, Some(gateway)) => {
                let begun = Instant::now();
                let since = due.unwrap_or(begun);
                // Answers from before and after a change do not go together.
                let conclusion = tokio::select! {
                    conclusion = self.examine(target, gateway) => conclusion,
                    () = self.queue.disturbed(target) => {
                        self.fall_behind(target, since);
                        return Some(Duration::ZERO);
                    }
                };
                self.metrics.examined(conclusion.verdict(), begun.elapsed());
                if let Some(wait) = must_settle(&before, &conclusion, since) {
                    self.fall_behind(target, since);
                    return Some(wait);
                }
                let again = pause(conclusion.verdict(), self.interval);
                (conclusion, Some(again))
            }
        };
        self.keep(target, &before, conclusion).await;
        if let Some(since) = due {
            self.metrics.followed(since.elapsed());
        }
        again
    }

    /// The gateway's container, where it still is one.
    fn gateway(&self, target: &ObjectRef) -> Option<PodRef> {
        let host = self.host().filter(|host| host.name == target.key.namespace)?;
        let container = host.container(&target.key.name)?;
        host.configurations.contains_key(container.name.as_str()).then(|| PodRef::of_container(container))
    }

    async fn examine(&self, target: &ObjectRef, gateway: PodRef) -> Conclusion {
        match self.containers.get() {
            Some(containers) => vantage::examine(self, &containers.of(gateway), target.clone(), Settings::default()).await,
            None => Conclusion::unseen(target, "the engine was not read yet".into()),
        }
    }

    /// A gateway that is gone has no document. Its resource stays, since nothing is ever deleted, and says so.
    async fn forget(&self, target: &ObjectRef, before: &DiagnosisStatus) -> Option<Duration> {
        if before.since.is_some() {
            self.keep(target, before, Conclusion::unseen(target, format!("{target} is no gateway any more"))).await;
        }
        lock(&self.documents).remove(target);
        None
    }
}

/// How long to wait for another look before a verdict that got worse is believed.
fn must_settle(before: &DiagnosisStatus, conclusion: &Conclusion, since: Instant) -> Option<Duration> {
    let worse = matches!(conclusion.verdict(), Verdict::Failing | Verdict::Degraded) && conclusion.verdict() > before.verdict;
    let left = SETTLE.checked_sub(since.elapsed())?;
    (worse && before.since.is_some() && !left.is_zero()).then_some(left.min(SETTLE_PAUSE))
}

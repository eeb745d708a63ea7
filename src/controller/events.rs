//! Events of the cluster on transitions, few of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};

use super::writer;
use crate::api::{Diagnosis, DiagnosisStatus, Verdict};
use crate::snapshot::objects::{Kind, ObjectRef};

/// Events of one target within a window, and of all targets.
const PER_TARGET: usize = 5;
const IN_ALL: usize = 200;
const WINDOW: Duration = Duration::from_secs(300);
/// The API server takes notes of 1 kB.
const LONGEST_NOTE: usize = 1000;

/// Publishes transitions on the route, so that `kubectl describe ingress` shows them, with the Diagnosis beside it.
#[derive(Clone)]
pub struct Publisher {
    recorder: Recorder,
    limit: std::sync::Arc<Limit>,
}

impl Publisher {
    /// A publisher in this replica's name.
    pub fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter { controller: "culprit.dev/controller".into(), instance: Some(identity.into()) };
        Publisher { recorder: Recorder::new(client, reporter), limit: std::sync::Arc::new(Limit::default()) }
    }

    /// Says that a verdict or its cause changed. Failing to say so changes nothing else.
    pub async fn transition(&self, target: &ObjectRef, uid: &str, diagnosis: &Diagnosis, status: &DiagnosisStatus) {
        if !self.limit.admits(target, Instant::now()) {
            return;
        }
        let healthy = status.conditions.iter().find(|c| c.type_ == "Healthy");
        let reason = healthy.map_or_else(|| status.verdict.to_string(), |c| c.reason.clone());
        let note: String = status.message.clone().unwrap_or_default().chars().take(LONGEST_NOTE).collect();
        let event = Event {
            type_: if status.verdict == Verdict::Healthy { EventType::Normal } else { EventType::Warning },
            reason,
            note: Some(note),
            action: "Diagnose".into(),
            secondary: Some(diagnosis.object_ref(&())),
        };
        let api_version = if target.kind == Kind::Service { "v1" } else { "networking.k8s.io/v1" };
        let regarding = ObjectReference {
            api_version: Some(api_version.into()),
            kind: Some(target.kind.to_string()),
            namespace: Some(target.key.namespace.to_string()),
            name: Some(target.key.name.to_string()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        };
        if let Err(error) = writer::in_time(self.recorder.publish(&event, &regarding)).await {
            tracing::warn!(%target, error = %crate::snapshot::kubernetes::list::root(&error), "event not published");
        }
    }
}

/// Counts events by target and in all, within a window.
#[derive(Debug, Default)]
struct Limit(Mutex<HashMap<Option<ObjectRef>, (Instant, usize)>>);

impl Limit {
    fn admits(&self, target: &ObjectRef, now: Instant) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, (begun, _)| now.duration_since(*begun) < WINDOW);
        let of = |key: Option<ObjectRef>| counts.get(&key).map_or(0, |(_, n)| *n);
        if of(Some(target.clone())) >= PER_TARGET || of(None) >= IN_ALL {
            return false;
        }
        for key in [Some(target.clone()), None] {
            counts.entry(key).or_insert((now, 0)).1 += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_flaps_is_cut_off_and_others_are_not() {
        let limit = Limit::default();
        let now = Instant::now();
        let flapping = ObjectRef::new(Kind::Ingress, "shop", "web");
        assert_eq!((0..20).filter(|_| limit.admits(&flapping, now)).count(), PER_TARGET);
        assert!(limit.admits(&ObjectRef::new(Kind::Ingress, "shop", "other"), now));
        assert!(limit.admits(&flapping, now + WINDOW));
    }
}

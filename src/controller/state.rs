//! What the controller knows: the snapshot, and the Diagnoses that are written.

use std::sync::atomic::AtomicBool;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::diagnoses::Diagnoses;
use crate::api::ANNOTATION_DIAGNOSE;
use crate::fact::Fact;
use crate::snapshot::objects::{Kind, Labels, ObjectRef};
use crate::snapshot::{Coverage, Snapshot};
use crate::vantage::Lends;

/// Shared by watches and workers.
#[derive(Debug, Default)]
pub struct State {
    snapshot: RwLock<Snapshot>,
    diagnoses: RwLock<Diagnoses>,
    /// Whether targets are examined: set once, when everything was listed.
    pub begun: AtomicBool,
}

impl State {
    /// The snapshot, to read.
    pub fn snapshot(&self) -> RwLockReadGuard<'_, Snapshot> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The snapshot, to change.
    pub fn snapshot_mut(&self) -> RwLockWriteGuard<'_, Snapshot> {
        self.snapshot.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Diagnoses, to read.
    pub fn diagnoses(&self) -> RwLockReadGuard<'_, Diagnoses> {
        self.diagnoses.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Diagnoses, to change.
    pub fn diagnoses_mut(&self) -> RwLockWriteGuard<'_, Diagnoses> {
        self.diagnoses.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether every kind was listed once, or is known to be unreadable: before that nothing can be judged.
    pub fn is_complete(&self) -> bool {
        let snapshot = self.snapshot();
        let known = |kind| !matches!(snapshot.coverage(kind), Coverage::NotLoaded);
        Kind::of_kubernetes().all(known) && self.diagnoses().listed
    }
}

impl Lends for State {
    fn lend<R>(&self, f: impl FnOnce(&Snapshot) -> R) -> R {
        f(&self.snapshot())
    }
}

/// Whether a route, or its namespace, says that it is not to be diagnosed.
pub fn opted_out(snapshot: &Snapshot, target: &ObjectRef) -> bool {
    let says_no = |annotations: &Labels| annotations.get(ANNOTATION_DIAGNOSE).is_some_and(|v| v == "false");
    let Fact::Known(ingress) = snapshot.ingress(&target.key) else { return false };
    let namespace = snapshot.namespace(&target.key.namespace);
    says_no(&ingress.meta.annotations) || namespace.known().is_some_and(|n| says_no(&n.meta.annotations))
}

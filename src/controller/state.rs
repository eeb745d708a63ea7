//! What the controller knows: the snapshot, and the Diagnoses that are written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use strum::IntoEnumIterator;

use crate::api::{ANNOTATION_DIAGNOSE, Diagnosis, TargetKind};
use crate::fact::Fact;
use crate::snapshot::objects::{Key, Kind, ObjectRef};
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

/// The Diagnoses of the cluster, by key and by target.
#[derive(Debug, Default)]
pub struct Diagnoses {
    by_key: BTreeMap<Key, Diagnosis>,
    by_target: BTreeMap<ObjectRef, BTreeSet<Key>>,
    /// Whether all were listed once.
    pub listed: bool,
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
        Kind::iter().all(known) && self.diagnoses().listed
    }
}

impl Lends for State {
    fn lend<R>(&self, f: impl FnOnce(&Snapshot) -> R) -> R {
        f(&self.snapshot())
    }
}

impl Diagnoses {
    /// Adds or replaces one. Returns its target where it must be looked at again: it is new, or its spec changed.
    pub fn apply(&mut self, diagnosis: Diagnosis) -> Option<ObjectRef> {
        let key = key_of(&diagnosis);
        let target = target_of(&diagnosis);
        let before = self.by_key.insert(key.clone(), diagnosis.clone());
        if let Some(before) = &before
            && target_of(before) != target
        {
            self.unlink(&target_of(before), &key);
        }
        self.by_target.entry(target.clone()).or_default().insert(key);
        before.is_none_or(|b| b.spec != diagnosis.spec).then_some(target)
    }

    /// Removes one. Returns its target.
    pub fn remove(&mut self, key: &Key) -> Option<ObjectRef> {
        let removed = self.by_key.remove(key)?;
        let target = target_of(&removed);
        self.unlink(&target, key);
        Some(target)
    }

    /// Removes those that a list did not show. Returns their targets.
    pub fn keep(&mut self, present: &BTreeSet<Key>) -> Vec<ObjectRef> {
        let gone: Vec<Key> = self.by_key.keys().filter(|k| !present.contains(*k)).cloned().collect();
        gone.iter().filter_map(|k| self.remove(k)).collect()
    }

    /// Those of a target.
    pub fn of(&self, target: &ObjectRef) -> Vec<Diagnosis> {
        self.by_target.get(target).into_iter().flatten().filter_map(|k| self.by_key.get(k)).cloned().collect()
    }

    /// All targets that have one.
    pub fn targets(&self) -> impl Iterator<Item = &ObjectRef> {
        self.by_target.keys()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Diagnosis> {
        self.by_key.values()
    }

    fn unlink(&mut self, target: &ObjectRef, key: &Key) {
        if let Some(keys) = self.by_target.get_mut(target) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_target.remove(target);
            }
        }
    }
}

/// Key of a Diagnosis.
pub fn key_of(diagnosis: &Diagnosis) -> Key {
    Key::new(diagnosis.metadata.namespace.as_deref().unwrap_or_default(), diagnosis.metadata.name.as_deref().unwrap_or_default())
}

/// What a Diagnosis is about: always an object of its own namespace.
pub fn target_of(diagnosis: &Diagnosis) -> ObjectRef {
    let kind = match diagnosis.spec.target.kind {
        TargetKind::Ingress => Kind::Ingress,
        TargetKind::Service => Kind::Service,
    };
    ObjectRef::new(kind, diagnosis.metadata.namespace.as_deref().unwrap_or_default(), &diagnosis.spec.target.name)
}

/// Whether a route, or its namespace, says that it is not to be diagnosed.
pub fn opted_out(snapshot: &Snapshot, target: &ObjectRef) -> bool {
    let says_no = |annotations: &BTreeMap<String, String>| annotations.get(ANNOTATION_DIAGNOSE).is_some_and(|v| v == "false");
    let Fact::Known(ingress) = snapshot.ingress(&target.key) else { return false };
    let namespace = snapshot.namespace(&target.key.namespace);
    says_no(&ingress.meta.annotations) || namespace.known().is_some_and(|n| says_no(&n.meta.annotations))
}

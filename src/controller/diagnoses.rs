//! The Diagnoses of the cluster, as far as the next status depends on them.
//!
//! There is one for every route, and a whole one takes several kilobytes in memory. What is kept is packed: the spec, of the status what
//! the next one carries on, and a fingerprint of the rest that says whether the next one is another.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::{Diagnosis, DiagnosisStatus, Verdict};
use crate::diagnose::carried_over;
use crate::diagnose::object_of;
use crate::snapshot::kubernetes::follow::key_of;
use crate::snapshot::objects::{Key, ObjectRef};

/// Diagnoses by key and by target.
#[derive(Debug, Default)]
pub struct Diagnoses {
    by_key: BTreeMap<Key, Packed>,
    /// Nearly every target has one.
    by_target: BTreeMap<ObjectRef, Vec<Key>>,
    /// Whether all were listed once.
    pub listed: bool,
}

/// A Diagnosis with what the next status carries on of its status.
#[derive(Clone, Debug)]
pub struct Document {
    /// The Diagnosis. Of its metadata only what names it is there, and of its status only times and history are there, and what they belong to.
    pub diagnosis: Diagnosis,
    fingerprint: u64,
}

impl Document {
    /// Of a whole Diagnosis.
    pub fn of(mut diagnosis: Diagnosis) -> Self {
        let fingerprint = fingerprint(diagnosis.status.as_ref().unwrap_or(&DiagnosisStatus::default()));
        diagnosis.status = diagnosis.status.map(carried_over);
        let meta = diagnosis.metadata;
        diagnosis.metadata = ObjectMeta {
            name: meta.name,
            namespace: meta.namespace,
            uid: meta.uid,
            generation: meta.generation,
            resource_version: meta.resource_version,
            ..ObjectMeta::default()
        };
        Document { diagnosis, fingerprint }
    }

    /// Whether it has exactly this status.
    pub fn has(&self, status: &DiagnosisStatus) -> bool {
        self.fingerprint == fingerprint(status)
    }
}

fn fingerprint(status: &DiagnosisStatus) -> u64 {
    let mut hasher = DefaultHasher::new();
    // A status is plain data, which can always be written.
    serde_json::to_vec(status).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

#[derive(Debug)]
struct Packed {
    target: ObjectRef,
    verdict: Verdict,
    spec: u64,
    fingerprint: u64,
    text: Box<[u8]>,
}

impl Packed {
    fn of(diagnosis: Diagnosis) -> Self {
        let target = target_of(&diagnosis);
        let verdict = diagnosis.status.as_ref().map(|s| s.verdict).unwrap_or_default();
        let mut spec = DefaultHasher::new();
        serde_json::to_vec(&diagnosis.spec).unwrap_or_default().hash(&mut spec);
        let Document { diagnosis, fingerprint } = Document::of(diagnosis);
        let text = serde_json::to_vec(&diagnosis).unwrap_or_default().into_boxed_slice();
        Packed { target, verdict, spec: spec.finish(), fingerprint, text }
    }

    fn unpack(&self) -> Option<Document> {
        let diagnosis = serde_json::from_slice(&self.text).ok()?;
        Some(Document { diagnosis, fingerprint: self.fingerprint })
    }
}

impl Diagnoses {
    /// Adds or replaces one. Returns its target where it must be looked at again: it is new, or its spec changed.
    pub fn apply(&mut self, diagnosis: Diagnosis) -> Option<ObjectRef> {
        let key = key_of(&diagnosis);
        let packed = Packed::of(diagnosis);
        let (target, spec) = (packed.target.clone(), packed.spec);
        let before = self.by_key.insert(key.clone(), packed);
        if let Some(before) = &before
            && before.target != target
        {
            self.unlink(&before.target, &key);
        }
        let keys = self.by_target.entry(target.clone()).or_default();
        if !keys.contains(&key) {
            keys.reserve_exact(1);
            keys.push(key);
            keys.sort();
        }
        before.is_none_or(|b| b.spec != spec).then_some(target)
    }

    /// Removes one. Returns its target.
    pub fn remove(&mut self, key: &Key) -> Option<ObjectRef> {
        let removed = self.by_key.remove(key)?;
        self.unlink(&removed.target, key);
        Some(removed.target)
    }

    /// Removes those that a list did not show. Returns their targets.
    pub fn keep(&mut self, present: &BTreeSet<Key>) -> Vec<ObjectRef> {
        let gone: Vec<Key> = self.by_key.keys().filter(|k| !present.contains(*k)).cloned().collect();
        gone.iter().filter_map(|k| self.remove(k)).collect()
    }

    /// Those of a target.
    pub fn of(&self, target: &ObjectRef) -> Vec<Document> {
        self.by_target.get(target).into_iter().flatten().filter_map(|k| self.by_key.get(k)?.unpack()).collect()
    }

    /// All targets that have one.
    pub fn targets(&self) -> impl Iterator<Item = &ObjectRef> {
        self.by_target.keys()
    }

    /// The verdicts of all of them.
    pub fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        self.by_key.values().map(|packed| packed.verdict)
    }

    fn unlink(&mut self, target: &ObjectRef, key: &Key) {
        if let Some(keys) = self.by_target.get_mut(target) {
            keys.retain(|k| k != key);
            if keys.is_empty() {
                self.by_target.remove(target);
            }
        }
    }
}

/// What a Diagnosis is about.
pub fn target_of(diagnosis: &Diagnosis) -> ObjectRef {
    object_of(&diagnosis.spec.target, diagnosis.metadata.namespace.as_deref().unwrap_or_default())
}

//! A network where all is well: whatever is asked is answered.

use std::time::Duration;

use culprit::api::DiagnosisStatus;
use culprit::diagnose::{Examination, Settings, Step};
use culprit::probe::{Observation, Outcome, Probe, Response};
use culprit::snapshot::Snapshot;
use culprit::snapshot::objects::ObjectRef;
use jiff::Timestamp;

/// What the gateway and every application answer.
pub fn answer(probe: &Probe) -> Observation {
    let response = Response {
        status: 200,
        version: "HTTP/1.1".into(),
        headers: vec![("content-type".into(), "text/html".into())],
        body_start: "<!doctype html><title>Storefront</title>".into(),
        body_hash: 0x5c5f_3d10_9f2a_77e1,
        body_length: 40,
        ..Response::default()
    };
    Observation {
        probe: probe.clone(),
        vantage: "this process".into(),
        at: Timestamp::UNIX_EPOCH,
        took: Duration::from_micros(900),
        outcome: Outcome::Response(Box::new(response)),
    }
}

/// The answers to what each target asks first, made before they are asked for: making them is no part of what is measured.
pub fn answers(snapshot: &Snapshot, targets: &[ObjectRef]) -> Vec<Vec<Observation>> {
    let first = |target: &ObjectRef| match Examination::begin(snapshot, target.clone(), Settings::default()).next(snapshot) {
        Step::Ask(probes) => probes.iter().map(answer).collect(),
        Step::Done => Vec::new(),
    };
    targets.iter().map(first).collect()
}

/// Examines a target to its status, given the answers to what it asks first. Says how many probes it took, too.
pub fn examine(snapshot: &Snapshot, target: &ObjectRef, answers: Vec<Observation>) -> (DiagnosisStatus, usize) {
    let mut examination = Examination::begin(snapshot, target.clone(), Settings::default());
    let mut first = Some(answers);
    while let Step::Ask(probes) = examination.next(snapshot) {
        let there = first.take().filter(|there| there.len() == probes.len());
        examination.record(there.unwrap_or_else(|| probes.iter().map(answer).collect()));
    }
    let asked = examination.seen().len();
    (examination.conclude(snapshot).into_status(Timestamp::UNIX_EPOCH, Some(1)), asked)
}

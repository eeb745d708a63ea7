//! What holds of every diagnosis, tried on all fixtures.

#[expect(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use culprit::api::{Confidence, DiagnosisStatus, Verdict};
use culprit::causes::{self, When};
use culprit::diagnose::succeed;
use culprit::probe::{DnsFailure, Observation, Outcome, Probe, Signature};
use culprit::snapshot::Coverage;
use culprit::snapshot::objects::Kind;
use culprit::vantage::{self, Vantage};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use support::case::{self, Fixture, Result};
use support::network::{Network, Socket};

static FIXTURES: LazyLock<Vec<(String, Fixture)>> =
    LazyLock::new(|| case::all().into_iter().map(|(folder, name, fixture)| (format!("{folder}/{name}"), fixture)).collect());

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Objects arrive in any order, and some of them twice.
    #[test]
    fn the_order_of_events_never_changes_a_diagnosis(index in any::<prop::sample::Index>(), order in any::<u64>()) {
        let (name, fixture) = index.get(&FIXTURES);
        let scene = fixture.scene();
        let mut shuffled = scene.clone();
        shuffled.objects = shuffle(scene.objects.iter().chain(scene.objects.iter().step_by(3)).cloned().collect(), order);
        prop_assert_eq!(fixture.run_on(&shuffled).status, fixture.run_on(&scene).status, "{}", name);
    }

    /// What was mended leaves nothing behind, whatever came before it.
    #[test]
    fn a_status_that_follows_another_ends_as_if_there_had_been_none(first in any::<prop::sample::Index>(), second in any::<prop::sample::Index>()) {
        let ((_, first), (name, second)) = (first.get(&FIXTURES), second.get(&FIXTURES));
        let (before, after) = (first.run(), second.run());
        let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        let status = succeed(&before.status, after.conclusion, at(60), Some(1));
        prop_assert_eq!(without_times(status), without_times(after.status), "{}", name);
    }
}

/// A network in which silence takes its time.
struct Slow<'a>(&'a Network);

impl Vantage for Slow<'_> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn ask<'a>(&'a self, probe: &'a Probe) -> BoxFuture<'a, Observation> {
        Box::pin(async move {
            let seen = self.0.ask(probe).await;
            let silent = matches!(seen.signature(), Some(Signature::ReadTimeout | Signature::ConnTimeout))
                || matches!(seen.outcome, Outcome::NotResolved(DnsFailure::Timeout));
            if silent {
                tokio::time::sleep(probe.timeout).await;
            }
            seen
        })
    }
}

/// What is asked ahead of silence is what would be asked after it, and nothing else counts.
#[tokio::test(start_paused = true)]
async fn asking_ahead_changes_no_diagnosis_and_waits_for_silence_once() {
    let mut wrong = Vec::new();
    for (name, fixture) in FIXTURES.iter() {
        let scene = fixture.scene();
        let (snapshot, target, settings) = fixture.begin(&scene);
        let begun = tokio::time::Instant::now();
        let conclusion = vantage::examine(&snapshot, &Slow(&scene.network), target, settings).await;
        let took = begun.elapsed();
        let one_by_one = fixture.run_on(&scene);
        if conclusion.into_status(Timestamp::UNIX_EPOCH, Some(1)) != one_by_one.status {
            wrong.push(format!("{name} ends otherwise"));
        }
        // What follows from a look is not asked ahead.
        let longest = one_by_one.asked.iter().map(|p| p.timeout).max().unwrap_or_default();
        if took > longest + Duration::from_secs(3) {
            wrong.push(format!("{name} takes {took:?}, and its longest question {longest:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn shuffle<T>(mut items: Vec<T>, seed: u64) -> Vec<T> {
    let mut state = seed | 1;
    for i in (1..items.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(i, usize::try_from(state >> 33).unwrap_or_default() % (i + 1));
    }
    items
}

fn without_times(mut status: DiagnosisStatus) -> DiagnosisStatus {
    status.since = None;
    status.history.clear();
    status.findings.iter_mut().for_each(|f| f.since = None);
    status.conditions.iter_mut().for_each(|c| c.last_transition_time.0 = Timestamp::UNIX_EPOCH);
    status
}

/// Every cause that holds, hidden ones among them, with its confidence.
fn holding(result: &Result) -> BTreeMap<String, Confidence> {
    let shown = result.status.findings.iter().map(|f| (f.cause.clone(), f.confidence));
    shown.chain(result.hidden.clone()).collect()
}

/// Where less is known, less may be said: no cause that did not hold before is proven, and what was not seen stays unseen.
fn says_no_more(what: &str, known: &Result, less: &Result) -> Vec<String> {
    let before = holding(known);
    let mut wrong: Vec<String> = Vec::new();
    for (cause, confidence) in holding(less) {
        let was = before.get(&cause).copied();
        // The order of confidences is from the strongest down.
        if confidence == Confidence::Proven && was != Some(Confidence::Proven) {
            wrong.push(format!("{what}: {cause} is proven, and was {was:?}"));
        }
    }
    if known.status.verdict == Verdict::Unknown && less.status.verdict != Verdict::Unknown {
        wrong.push(format!("{what}: the verdict is {}, and was Unknown", less.status.verdict));
    }
    // A route that answers is Healthy where the cause that calls the answer wrong says that it cannot tell.
    let untold = less.unknown.iter().any(|(slug, _)| causes::by_slug(slug).is_some_and(|c| c.when == When::Always));
    if less.status.verdict == Verdict::Healthy && known.status.verdict == Verdict::Failing && !untold {
        wrong.push(format!("{what}: the verdict is Healthy, and was Failing"));
    }
    wrong
}

#[test]
fn a_kind_that_cannot_be_read_never_makes_a_verdict_more_certain() {
    let mut wrong = Vec::new();
    for (name, fixture) in FIXTURES.iter() {
        let scene = fixture.scene();
        let known = fixture.run_on(&scene);
        for kind in Kind::of_kubernetes() {
            let mut less = scene.clone();
            less.objects.retain(|o| o.reference().kind != kind);
            less.coverage.iter_mut().filter(|(k, _)| *k == kind).for_each(|(_, c)| *c = Coverage::Failed("forbidden".into()));
            wrong.extend(says_no_more(&format!("{name} without {kind}"), &known, &fixture.run_on(&less)));
        }
    }
    assert!(wrong.is_empty(), "{} times more was said:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn an_address_that_cannot_be_asked_never_makes_a_verdict_more_certain() {
    let mut wrong = Vec::new();
    for (name, fixture) in FIXTURES.iter().filter(|(_, f)| !f.offline) {
        let scene = fixture.scene();
        let known = fixture.run_on(&scene);
        for address in scene.network.sockets.keys() {
            let mut less = scene.clone();
            less.network.sockets.insert(*address, Socket::Unavailable);
            wrong.extend(says_no_more(&format!("{name} without {address}"), &known, &fixture.run_on(&less)));
        }
    }
    assert!(wrong.is_empty(), "{} times more was said:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_route_that_works_is_asked_from_no_pod_by_name() {
    for (name, fixture) in FIXTURES.iter() {
        let result = fixture.run();
        let elsewhere = result.asked.iter().find(|p| p.from.is_some());
        assert!(result.status.verdict != Verdict::Healthy || elsewhere.is_none(), "{name}: {elsewhere:?}");
    }
}

#[test]
fn a_pod_that_nobody_enters_never_makes_a_verdict_more_certain() {
    let mut wrong = Vec::new();
    for (name, fixture) in FIXTURES.iter() {
        let scene = fixture.scene();
        let known = fixture.run_on(&scene);
        for pod in scene.network.inside.keys().chain(scene.network.from.keys()) {
            let mut less = scene.clone();
            less.network.inside.remove(pod);
            less.network.from.remove(pod);
            wrong.extend(says_no_more(&format!("{name} without {pod}"), &known, &fixture.run_on(&less)));
        }
    }
    assert!(wrong.is_empty(), "{} times more was said:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_status_stops_moving_while_nothing_changes() {
    for (name, fixture) in FIXTURES.iter() {
        let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        let first = fixture.run();
        let again = succeed(&first.status, fixture.run().conclusion, at(3600), Some(1));
        assert_eq!(again, first.status, "{name}");
    }
}

#[test]
fn every_fault_converges_to_health_once_it_is_mended() {
    for (name, fixture) in FIXTURES.iter().filter(|(_, f)| !f.offline && f.probe.is_none() && f.target == "Ingress/shop/web") {
        let before = fixture.run();
        let mended = fixture.run_on(&fixture.world());
        let status = succeed(&before.status, mended.conclusion, Timestamp::UNIX_EPOCH, Some(1));
        assert_eq!((status.verdict, status.findings.len()), (Verdict::Healthy, 0), "{name}");
    }
}

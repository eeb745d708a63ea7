//! One diagnosis under way: asks, records, and concludes. No I/O.

use std::collections::BTreeSet;

use crate::causes::{Case, EndToEnd, Missing, Observations};
use crate::fact::Fact;
use crate::path::{self, Path};
use crate::probe::{Observation, Outcome, Probe};
use crate::snapshot::Snapshot;
use crate::snapshot::objects::ObjectRef;

use super::answers::{self, Answers};
use super::plan::{self, WALK_TIMEOUT};
use super::rank::{self, Judged};
use super::settings::Settings;
use super::status::Conclusion;

/// Rounds of questions at most; each round's questions are asked at once.
const ROUNDS: usize = 10;
/// Probes of one target at most.
const PROBES: usize = 256;

/// One diagnosis of one target.
#[derive(Debug)]
pub struct Examination {
    target: ObjectRef,
    settings: Settings,
    paths: Fact<Vec<Path>>,
    seen: Observations,
    rounds: usize,
}

/// What an examination wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these, all at once, and record what they say.
    Ask(Vec<Probe>),
    /// Everything that can be asked was asked.
    Done,
}

impl Examination {
    /// Begins by resolving the target's paths.
    pub fn begin(snapshot: &Snapshot, target: ObjectRef, settings: Settings) -> Self {
        let paths = path::resolve(snapshot, &target);
        Examination { target, settings, paths, seen: Observations::new(), rounds: 0 }
    }

    /// What is to be asked next.
    pub fn next(&mut self, snapshot: &Snapshot) -> Step {
        while self.settings.online && self.rounds < ROUNDS && self.seen.len() < PROBES {
            self.rounds += 1;
            let (allowed, refused) = self.wanted(snapshot);
            let none = allowed.is_empty() && refused.is_empty();
            self.record(refused);
            if !allowed.is_empty() {
                return Step::Ask(allowed);
            }
            if none {
                break;
            }
        }
        Step::Done
    }

    /// Takes the answers to what was asked.
    pub fn record(&mut self, observations: Vec<Observation>) {
        self.seen.extend(observations.into_iter().map(|o| (o.probe.clone(), o)));
    }

    /// Everything that was seen.
    pub fn seen(&self) -> &Observations {
        &self.seen
    }

    /// What it all comes to.
    pub fn conclude(&self, snapshot: &Snapshot) -> Conclusion {
        match &self.paths {
            Fact::Known(paths) => {
                let judged = paths.iter().map(|path| (path, answers::judge(path, &self.seen, &self.settings)));
                let routes = judged.map(|(path, answers)| {
                    let found = self.judged(snapshot, path, &answers);
                    let by = answers::answered_by(path, answers.failures.first().copied(), &self.seen, &self.settings);
                    (path, answers, found, by)
                });
                Conclusion::of(&self.target, routes.collect(), &self.seen)
            }
            Fact::Absent => Conclusion::unseen(&self.target, format!("{} does not exist", self.target)),
            Fact::NotAsked => Conclusion::unseen(&self.target, format!("{} was not looked up", self.target)),
            Fact::Failed(why) => Conclusion::unseen(&self.target, format!("{} could not be looked up: {why}", self.target)),
        }
    }

    fn judged(&self, snapshot: &Snapshot, path: &Path, answers: &Answers<'_>) -> Judged {
        rank::judge(&Case {
            snapshot,
            path,
            seen: &self.seen,
            end_to_end: &answers.end_to_end,
            failures: &answers.failures,
            successes: &answers.successes,
            online: self.settings.online,
            timeout: WALK_TIMEOUT,
        })
    }

    /// Unasked probes of all paths: those that may be sent, and those that may not as observations that say why.
    fn wanted(&self, snapshot: &Snapshot) -> (Vec<Probe>, Vec<Observation>) {
        let mut allowed = BTreeSet::new();
        let mut refused = Vec::new();
        for path in self.paths.known().into_iter().flatten() {
            for probe in self.wanted_by(snapshot, path) {
                match probe.address().and_then(|to| plan::refusal(snapshot, path, to)) {
                    Some(why) => refused.push(not_sent(probe, why)),
                    None => drop(allowed.insert(probe)),
                }
            }
        }
        (allowed.into_iter().take(PROBES - self.seen.len().min(PROBES)).collect(), refused)
    }

    fn wanted_by(&self, snapshot: &Snapshot, path: &Path) -> Vec<Probe> {
        let unseen = |probes: Vec<Probe>| -> Vec<Probe> { probes.into_iter().filter(|p| !self.seen.contains_key(p)).collect() };
        let first = unseen(self.first(path));
        if !first.is_empty() {
            return first;
        }
        let answers = answers::judge(path, &self.seen, &self.settings);
        let endpoint_fails = plan::walk(path).iter().any(|p| self.seen.get(p).is_some_and(|o| o.signature().is_some()));
        if answers.end_to_end == EndToEnd::Works && !answers.doubtful && !endpoint_fails {
            return self.causes_want(snapshot, path, &answers);
        }
        let mut probes = plan::walk(path);
        probes.extend(plan::reference(path, &self.settings));
        probes.extend(self.again(path, &answers, endpoint_fails));
        let probes = unseen(probes);
        if probes.is_empty() { self.causes_want(snapshot, path, &answers) } else { probes }
    }

    /// What even a healthy route costs: one request, and one to each endpoint where there are several.
    fn first(&self, path: &Path) -> Vec<Probe> {
        let mut probes = plan::end_to_end(path, &self.seen, &self.settings);
        if probes.is_empty() || path.backend.ready_endpoints().count() > 1 {
            probes.extend(plan::walk(path));
        }
        probes
    }

    /// Asks again: once where a request failed, and as often as there are endpoints where answers differ.
    fn again(&self, path: &Path, answers: &Answers<'_>, endpoint_fails: bool) -> Vec<Probe> {
        let mixed = matches!(answers.end_to_end, EndToEnd::Partly { .. }) || (answers.end_to_end == EndToEnd::Works && endpoint_fails);
        let endpoints = u8::try_from(path.backend.ready_endpoints().count()).unwrap_or(u8::MAX);
        let attempts = match (mixed, answers.failures.is_empty()) {
            (true, _) => endpoints.saturating_mul(2).clamp(4, answers::ATTEMPTS),
            (false, false) => 2,
            (false, true) => 1,
        };
        let requests = plan::end_to_end(path, &self.seen, &self.settings);
        requests.iter().flat_map(|p| (1..attempts).map(|n| p.again(n))).collect()
    }

    fn causes_want(&self, snapshot: &Snapshot, path: &Path, answers: &Answers<'_>) -> Vec<Probe> {
        let judged = self.judged(snapshot, path, answers);
        let wanted = judged.unknown.into_iter().filter_map(|(_, missing)| match missing {
            Missing::Probes(probes) => Some(probes),
            Missing::Fact(_) => None,
        });
        wanted.flatten().filter(|p| !self.seen.contains_key(p)).collect()
    }
}

fn not_sent(probe: Probe, why: String) -> Observation {
    Observation {
        probe,
        vantage: "nowhere".into(),
        at: jiff::Timestamp::UNIX_EPOCH,
        took: std::time::Duration::ZERO,
        outcome: Outcome::NotSent(why),
    }
}

//! One diagnosis under way: asks, records, and concludes. No I/O.

mod ahead;

use std::time::Duration;

use crate::causes::{Case, EndToEnd, Missing, Observations};
use crate::fact::Fact;
use crate::path::{self, Path};
use crate::probe::{Observation, Probe};
use crate::snapshot::Snapshot;
use crate::snapshot::objects::ObjectRef;

use super::answers::{self, Answers};
use super::beat::Beat;
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
    /// What was handed out last.
    asked: Vec<Probe>,
    /// What judging each path gave, where nothing was seen since.
    judged: Vec<Option<Judged>>,
}

/// What one path still wants, and what its causes said where they were asked.
struct Wanted {
    probes: Vec<Probe>,
    judged: Option<Judged>,
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
        let judged = vec![None; paths.known().map_or(0, Vec::len)];
        Examination { target, settings, paths, seen: Observations::new(), rounds: 0, asked: Vec::new(), judged }
    }

    /// What is to be asked next.
    pub fn next(&mut self, snapshot: &Snapshot) -> Step {
        while self.settings.online && self.rounds < ROUNDS && self.seen.len() < PROBES {
            self.rounds += 1;
            let (allowed, refused) = self.wanted(snapshot);
            let none = allowed.is_empty() && refused.is_empty();
            self.record(refused);
            if !allowed.is_empty() {
                self.asked.clone_from(&allowed);
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
        if !observations.is_empty() {
            self.judged.fill(None);
        }
        self.seen.extend(observations.into_iter().map(|o| (o.probe.clone(), o)));
    }

    /// How long a question may go unanswered before [`Examination::foresee`] is worth its questions.
    pub fn patience(&self) -> Duration {
        ahead::patience(&self.settings)
    }

    /// Everything that was seen.
    pub fn seen(&self) -> &Observations {
        &self.seen
    }

    /// What it all comes to.
    pub fn conclude(&self, snapshot: &Snapshot) -> Conclusion {
        match &self.paths {
            Fact::Known(paths) => {
                let judged = paths.iter().zip(&self.judged).map(|(p, judged)| (p, answers::judge(p, &self.seen, &self.settings), judged));
                let routes = judged.map(|(path, answers, judged)| {
                    let found = judged.clone().unwrap_or_else(|| self.judge(snapshot, path, &answers));
                    // Where nothing failed, an answer may still be the wrong one.
                    let odd = || answers.successes.iter().find(|o| o.response().is_some_and(|r| r.status >= 300));
                    let answer = answers.failures.first().or_else(odd).copied();
                    let by = answers::answered_by(path, answer, &self.seen, &self.settings);
                    (path, answers, found, by)
                });
                let mut conclusion = Conclusion::of(&self.target, routes.collect(), &self.seen);
                conclusion.beats = self.beats(&conclusion);
                conclusion
            }
            Fact::Absent => Conclusion::unseen(&self.target, format!("{} does not exist", self.target)),
            Fact::NotAsked => Conclusion::unseen(&self.target, format!("{} was not looked up", self.target)),
            Fact::Failed(why) => Conclusion::unseen(&self.target, format!("{} could not be looked up: {why}", self.target)),
        }
    }

    fn beats(&self, conclusion: &Conclusion) -> Vec<Beat> {
        let requests = self.paths.known().into_iter().flatten().flat_map(|p| plan::end_to_end(p, &self.seen, &self.settings));
        let seen = requests.filter_map(|p| self.seen.get(p));
        let mut beats: Vec<Beat> = seen.filter_map(|o| Beat::of(o, conclusion.verdict(), conclusion.took)).collect();
        beats.sort_by(|a, b| a.probe.cmp(&b.probe));
        beats.dedup_by(|a, b| a.probe == b.probe);
        beats
    }

    fn judge(&self, snapshot: &Snapshot, path: &Path, answers: &Answers<'_>) -> Judged {
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
    fn wanted(&mut self, snapshot: &Snapshot) -> (Vec<Probe>, Vec<Observation>) {
        let mut allowed = Vec::new();
        let mut refused = Vec::new();
        let mut all_judged = Vec::with_capacity(self.judged.len());
        for path in self.paths.known().into_iter().flatten() {
            let Wanted { probes, judged } = self.wanted_by(snapshot, path);
            all_judged.push(judged);
            for probe in probes {
                match probe.address().and_then(|to| plan::refusal(snapshot, path, to)) {
                    Some(why) => refused.push(Observation::not_sent(probe, "nowhere".into(), jiff::Timestamp::UNIX_EPOCH, why)),
                    None => allowed.push(probe),
                }
            }
        }
        self.judged = all_judged;
        // Several paths may want the same.
        allowed.sort();
        allowed.dedup();
        allowed.truncate(PROBES - self.seen.len().min(PROBES));
        (allowed, refused)
    }

    fn wanted_by(&self, snapshot: &Snapshot, path: &Path) -> Wanted {
        let first: Vec<Probe> = self.first(path).filter(|p| !self.seen.contains_key(p)).cloned().collect();
        if !first.is_empty() {
            return Wanted { probes: first, judged: None };
        }
        let answers = answers::judge(path, &self.seen, &self.settings);
        let endpoint_fails = plan::walk(path).iter().any(|p| self.seen.get(p).is_some_and(|o| o.signature().is_some()));
        if answers.end_to_end == EndToEnd::Works && !answers.doubtful && !endpoint_fails {
            return self.causes_want(snapshot, path, &answers);
        }
        let mut probes = plan::walk(path).to_vec();
        probes.extend(plan::reference(path, &self.seen, &self.settings));
        probes.extend(self.again(path, &answers, endpoint_fails));
        probes.retain(|p| !self.seen.contains_key(p));
        if !probes.is_empty() {
            return Wanted { probes, judged: None };
        }
        // While a silent route's whole limit is waited for, what causes want is asked beside it.
        let mut wanted = self.causes_want(snapshot, path, &answers);
        wanted.probes.extend(self.patient(path, &answers).into_iter().filter(|p| !self.seen.contains_key(p)));
        wanted
    }

    /// What even a healthy route costs: one request, and one to each endpoint where there are several.
    fn first<'p>(&self, path: &'p Path) -> impl Iterator<Item = &'p Probe> + use<'p> {
        let through_gateway = plan::end_to_end(path, &self.seen, &self.settings);
        let each = through_gateway.is_empty() || path.backend.ready_endpoints().nth(1).is_some();
        through_gateway.iter().chain(if each { plan::walk(path) } else { &[] })
    }

    /// Asks again: once where a request failed, and as often as there are endpoints where answers differ.
    fn again(&self, path: &Path, answers: &Answers<'_>, endpoint_fails: bool) -> Vec<Probe> {
        let endpoint_works =
            plan::walk(path).iter().any(|p| self.seen.get(p).is_some_and(|o| o.response().is_some() && o.signature().is_none()));
        let differ = endpoint_fails && (endpoint_works || answers.end_to_end == EndToEnd::Works);
        let mixed = matches!(answers.end_to_end, EndToEnd::Partly { .. }) || differ;
        let endpoints = u8::try_from(path.backend.ready_endpoints().count()).unwrap_or(u8::MAX);
        let attempts = match (mixed, answers.failures.is_empty()) {
            // Enough to meet each of a few endpoints, whatever others ask the gateway in between.
            (true, _) => endpoints.saturating_mul(4).clamp(8, plan::ATTEMPTS),
            (false, false) => 2,
            (false, true) => 1,
        };
        let requests = plan::end_to_end(path, &self.seen, &self.settings);
        requests.iter().flat_map(|p| (1..attempts).map(|n| plan::attempt(p, n, &self.settings))).collect()
    }

    /// The requests that wait for the whole limit: one for each that was cut short, unless the walk explains the silence.
    fn patient(&self, path: &Path, answers: &Answers<'_>) -> Vec<Probe> {
        if plan::explains_silence(path, &self.seen, &self.settings) {
            return Vec::new();
        }
        let hasty = answers.failures.iter().filter(|o| plan::is_cut_short(o, &self.settings));
        let twins: Vec<Probe> = hasty.map(|o| plan::attempt(&o.probe, plan::PATIENT + o.probe.attempt, &self.settings)).collect();
        let walk = if twins.is_empty() { Vec::new() } else { plan::patient_walk(path, &self.seen, &self.settings) };
        twins.into_iter().chain(walk).collect()
    }

    fn causes_want(&self, snapshot: &Snapshot, path: &Path, answers: &Answers<'_>) -> Wanted {
        let judged = self.judge(snapshot, path, answers);
        let wanted = judged.unknown.iter().filter_map(|(_, missing)| match missing {
            Missing::Probes(probes) => Some(probes),
            Missing::Fact(_) => None,
        });
        let probes = wanted.flatten().filter(|p| !self.seen.contains_key(p)).cloned().collect();
        Wanted { probes, judged: Some(judged) }
    }
}

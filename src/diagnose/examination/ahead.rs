//! What will be asked if what is silent stays so. Time-outs that one waits for one after the other add up; those that are waited for at
//! once do not. What is asked ahead counts only once the examination wants it, so that it changes no diagnosis.

use std::time::Duration;

use jiff::Timestamp;

use super::{Examination, Step};
use crate::causes::Observations;
use crate::diagnose::settings::Settings;
use crate::probe::{DnsFailure, Observation, Outcome, Probe, Question, Signature};
use crate::snapshot::Snapshot;

/// What is not answered for so long may stay silent.
const SUSPICIOUS: Duration = Duration::from_millis(300);
/// A route that is known to be slow is given this many times as long as it usually takes.
const SLOWER: u32 = 2;

/// How long a question may go unanswered before others are asked ahead.
pub(super) fn patience(settings: &Settings) -> Duration {
    settings.usual.map_or(SUSPICIOUS, |usual| SUSPICIOUS.max(usual * SLOWER))
}

impl Examination {
    /// The probes that will be wanted if these silent ones end without an answer; those that were asked ahead and answered meanwhile are given
    /// as well. Looks into pods and logs are not among them: what they show depends on what was asked before.
    pub fn foresee(&mut self, snapshot: &Snapshot, silent: &[Probe], answered: &Observations, now: Timestamp) -> Vec<Probe> {
        let mut ahead: Vec<Probe> = [Signature::ReadTimeout, Signature::ConnTimeout]
            .into_iter()
            .flat_map(|end| self.suppose(snapshot, |probe| answered.get(probe).cloned().or_else(|| ending(probe, silent, end, now))))
            .filter(|p| !silent.contains(p) && !answered.contains_key(p) && !is_look(p))
            .collect();
        ahead.sort();
        ahead.dedup();
        ahead
    }

    /// Goes on with supposed answers as far as they reach, and back. Returns what was wanted then and is not among them.
    fn suppose(&mut self, snapshot: &Snapshot, answer: impl Fn(&Probe) -> Option<Observation>) -> Vec<Probe> {
        let kept = (self.seen.clone(), self.rounds, self.judged.clone(), self.asked.clone());
        let mut lacking = Vec::new();
        let mut wanted = self.asked.clone();
        while lacking.is_empty() {
            let answers: Vec<Observation> = wanted.iter().filter_map(&answer).collect();
            if answers.is_empty() {
                break;
            }
            self.record(answers);
            let Step::Ask(next) = self.next(snapshot) else { break };
            lacking = next.iter().filter(|p| answer(p).is_none()).cloned().collect();
            wanted = next;
        }
        (self.seen, self.rounds, self.judged, self.asked) = kept;
        lacking
    }
}

fn is_look(probe: &Probe) -> bool {
    matches!(probe.question, Question::Look(_) | Question::Log(_))
}

/// How a silent probe ends, if nothing comes any more.
fn ending(probe: &Probe, silent: &[Probe], end: Signature, now: Timestamp) -> Option<Observation> {
    let broken = |signature| Outcome::Broken { signature, detail: String::new(), first_bytes: Vec::new() };
    let outcome = match &probe.question {
        Question::Request(_) | Question::Handshake { .. } => broken(end),
        Question::Connect { .. } => broken(Signature::ConnTimeout),
        Question::Resolve { .. } => Outcome::NotResolved(DnsFailure::Timeout),
        Question::Size { .. } | Question::Look(_) | Question::Log(_) => return None,
    };
    let seen = || Observation { probe: probe.clone(), vantage: String::new(), at: now, took: probe.timeout, outcome };
    silent.contains(probe).then(seen)
}

//! What a route's request through its gateway last came to, in kind: enough to see that it is another one now, and never to judge.

use std::time::Duration;

use crate::api::Verdict;
use crate::probe::{Observation, Outcome, Probe, Signature};

/// Limit of a request that only asks whether all is as it was, where the route usually answers at once.
const SHORTEST: Duration = Duration::from_millis(500);
/// What takes this many times as long as usual is worth a look.
const SLOWER: u32 = 4;

/// A request of an examination, with the kind of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The request, with a brief limit.
    pub probe: Probe,
    kind: Kind,
}

/// What sort of answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A response; of those that are no errors only the class of the status counts.
    Status { code: u16, is_cut: bool },
    /// Nothing came in time.
    Silence,
    /// The wire failed.
    Broken(Signature),
}

impl Kind {
    /// Nothing where the answer says nothing about the network.
    fn of(seen: &Observation) -> Option<Self> {
        match &seen.outcome {
            Outcome::Response(r) if r.status < 400 => Some(Kind::Status { code: r.status / 100 * 100, is_cut: r.body_cut }),
            Outcome::Response(r) => Some(Kind::Status { code: r.status, is_cut: r.body_cut }),
            Outcome::Broken { signature: Signature::ReadTimeout | Signature::ConnTimeout, .. } => Some(Kind::Silence),
            Outcome::Broken { signature, .. } => Some(Kind::Broken(*signature)),
            _ => None,
        }
    }
}

impl Beat {
    /// Of a first request, for a route with this verdict. Nothing where answers differ by themselves, and where none comes: whoever does
    /// not answer is not asked more often for it, since what is asked may wait there.
    pub(super) fn of(seen: &Observation, verdict: Verdict, usual: Option<Duration>) -> Option<Self> {
        let kind = Kind::of(seen)?;
        let steady = match verdict {
            Verdict::Healthy => true,
            Verdict::Failing => kind != Kind::Silence,
            Verdict::Unknown | Verdict::Degraded => false,
        };
        let limit = SHORTEST.max(usual.unwrap_or(seen.took) * SLOWER).min(seen.probe.timeout);
        steady.then(|| Beat { probe: Probe { timeout: limit, ..seen.probe.clone() }, kind })
    }

    /// Whether it asks the same as another one, and the answers were of one kind.
    pub fn is_like(&self, other: &Beat) -> bool {
        self.kind == other.kind && self.probe.question == other.probe.question
    }

    /// Whether an answer is of another kind, so that the route is worth an examination.
    pub fn is_missed_by(&self, answer: &Observation) -> bool {
        Kind::of(answer).is_some_and(|kind| kind != self.kind)
    }
}

/// One that was answered with this status, for tests of others.
#[cfg(test)]
pub(crate) fn beat_answered(status: u16) -> Beat {
    let probe = Probe { timeout: SHORTEST, ..Probe::connect(([10, 0, 0, 7], 80).into()) };
    Beat { probe, kind: Kind::Status { code: status, is_cut: false } }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::probe::Response;

    fn seen(outcome: Outcome, took: u64) -> Observation {
        let probe = Probe::connect(([10, 0, 0, 7], 80).into());
        Observation { probe, vantage: "here".into(), at: Timestamp::UNIX_EPOCH, took: Duration::from_millis(took), outcome }
    }

    fn status(status: u16) -> Observation {
        seen(Outcome::Response(Box::new(Response { status, ..Response::default() })), 2)
    }

    fn broken(signature: Signature) -> Observation {
        seen(Outcome::Broken { signature, detail: String::new(), first_bytes: Vec::new() }, 500)
    }

    fn beat(seen: &Observation, verdict: Verdict) -> Option<Beat> {
        Beat::of(seen, verdict, None)
    }

    #[test]
    fn only_an_answer_of_another_kind_is_worth_a_look() {
        let beat = beat(&status(200), Verdict::Healthy).unwrap();
        assert!(!beat.is_missed_by(&status(204)));
        assert!(!beat.is_missed_by(&seen(Outcome::NotSent("over budget".into()), 0)));
        for other in [status(302), status(404), status(502), broken(Signature::ReadTimeout), broken(Signature::Refused)] {
            assert!(beat.is_missed_by(&other), "{other}");
        }
        let cut = Response { status: 200, body_cut: true, ..Response::default() };
        assert!(beat.is_missed_by(&seen(Outcome::Response(Box::new(cut)), 2)));
    }

    #[test]
    fn a_route_that_fails_is_asked_whether_it_is_mended_unless_it_is_silent() {
        let failing = beat(&status(502), Verdict::Failing).unwrap();
        assert!(failing.is_missed_by(&status(200)));
        assert!(failing.is_missed_by(&status(503)));
        assert!(!failing.is_missed_by(&status(502)));
        assert_eq!(beat(&broken(Signature::ReadTimeout), Verdict::Failing), None);
        assert_eq!(beat(&status(200), Verdict::Degraded), None);
        assert_eq!(beat(&status(200), Verdict::Unknown), None);
    }

    #[test]
    fn a_slow_route_is_given_its_time_and_never_more_than_its_limit() {
        let limit = |took| beat(&seen(status(200).outcome, took), Verdict::Healthy).unwrap().probe.timeout;
        assert_eq!(limit(2), SHORTEST);
        assert_eq!(limit(700), Duration::from_millis(2800));
        assert_eq!(limit(4000), crate::probe::DEFAULT_TIMEOUT);
    }
}

//! Which routes are asked for their pulse when: one brief request between two examinations, whose answer only decides whether the next
//! examination is due at once. It is sent by [`asking`]; here is no I/O.

pub mod asking;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::diagnose::Beat;
use crate::snapshot::objects::ObjectRef;

/// Shortest time between two pulses of a route.
const SHORTEST: Duration = Duration::from_millis(1500);
/// Longest one: what is rarer is little better than the examinations themselves, and none is sent then.
const LONGEST: Duration = Duration::from_secs(15);
/// A pulse may last for one part in so many of the time until the next one.
const SPARING: u32 = 3;
/// False alarms of a route that count; each doubles the time between its pulses.
const MOST_ALARMS: u8 = 5;

/// Routes that have a pulse.
#[derive(Debug)]
pub struct Pulses {
    /// Requests a second, over all routes; none are sent where it is 0.
    rate: u32,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: BTreeMap<ObjectRef, Entry>,
    /// Requests of all entries.
    requests: usize,
}

#[derive(Debug, Default)]
struct Entry {
    /// Empty where there are too many to be sent.
    beats: Vec<Beat>,
    /// How many there are, sent or not.
    count: usize,
    next: Option<Instant>,
    /// Asked just now.
    asking: bool,
    /// Whether an examination is due or under way.
    examined: bool,
    /// Whether a pulse has made the examination due.
    raised: bool,
    /// Examinations in a row that a pulse had made due for nothing.
    alarms: u8,
}

impl Entry {
    /// Time until the next pulse. A route that takes long is asked more rarely, so that nobody works for pulses most of the time.
    fn pause(&self, period: Duration) -> Duration {
        let limit = self.beats.iter().map(|beat| beat.probe.timeout).max().unwrap_or_default();
        period.max(limit * SPARING) * (1 << self.alarms)
    }
}

impl Inner {
    /// Time between two pulses of a route at this rate; none where there are too many routes.
    fn period(&self, rate: u32) -> Option<Duration> {
        let even = Duration::from_secs(1).checked_div(rate)?.saturating_mul(u32::try_from(self.requests).unwrap_or(u32::MAX));
        (even <= LONGEST).then(|| even.max(SHORTEST))
    }

    fn remove(&mut self, target: &ObjectRef) -> Entry {
        let entry = self.entries.remove(target).unwrap_or_default();
        self.requests -= entry.count;
        entry
    }
}

impl Pulses {
    /// Of so many requests a second, over all routes; of none with 0.
    pub fn new(rate: u32) -> Self {
        Pulses { rate, inner: Mutex::default() }
    }

    /// A route is examined: it is not asked until what that saw is kept.
    pub fn rest(&self, target: &ObjectRef) {
        if let Some(entry) = self.lock().entries.get_mut(target) {
            entry.examined = true;
        }
    }

    /// Takes what an examination saw. Where a pulse had made it due and nothing is new, that was a false alarm.
    pub fn keep(&self, target: &ObjectRef, mut beats: Vec<Beat>) {
        let mut inner = self.lock();
        let before = inner.remove(target);
        let same = before.beats.len() == beats.len() && before.beats.iter().zip(&beats).all(|(a, b)| a.is_like(b));
        let alarms = match before.raised {
            true if same => (before.alarms + 1).min(MOST_ALARMS),
            true => 0,
            false => before.alarms.saturating_sub(1),
        };
        let count = beats.len();
        inner.requests += count;
        let period = inner.period(self.rate);
        if period.is_none() {
            beats = Vec::new();
        }
        let mut entry = Entry { beats, count, alarms, ..Entry::default() };
        entry.next = period.map(|p| Instant::now() + entry.pause(p));
        inner.entries.insert(target.clone(), entry);
    }

    /// A route is gone.
    pub fn forget(&self, target: &ObjectRef) {
        self.lock().remove(target);
    }

    /// Nothing is known any more, as where another replica leads.
    pub fn clear(&self) {
        *self.lock() = Inner::default();
    }

    /// Whether routes are asked between their examinations at all.
    pub fn are_sent(&self) -> bool {
        self.lock().period(self.rate).is_some()
    }

    /// What is to be asked in a part of a second, the longest due first: its share of the rate at most, but for the last route's.
    pub fn due_within(&self, part: Duration) -> Vec<(ObjectRef, Vec<Beat>)> {
        let share = (f64::from(self.rate) * part.as_secs_f64()).ceil();
        self.due(share as usize)
    }

    fn due(&self, most: usize) -> Vec<(ObjectRef, Vec<Beat>)> {
        let now = Instant::now();
        let mut inner = self.lock();
        if inner.period(self.rate).is_none() {
            return Vec::new();
        }
        let is_due = |e: &Entry| !e.asking && !e.examined && !e.beats.is_empty() && e.next.is_some_and(|at| at <= now);
        let mut due: Vec<(&ObjectRef, &mut Entry)> = inner.entries.iter_mut().filter(|(_, e)| is_due(e)).collect();
        due.sort_by_key(|(_, entry)| entry.next);
        let mut asked = 0;
        let mut taken = Vec::new();
        for (target, entry) in due {
            if asked >= most {
                break;
            }
            asked += entry.beats.len();
            entry.asking = true;
            taken.push((target.clone(), entry.beats.clone()));
        }
        taken
    }

    /// A pulse was answered. Returns whether its route is to be examined for it: it is not examined already.
    pub fn answered(&self, target: &ObjectRef, is_missed: bool) -> bool {
        let mut inner = self.lock();
        let period = inner.period(self.rate).unwrap_or(SHORTEST);
        let Some(entry) = inner.entries.get_mut(target).filter(|e| e.asking) else { return false };
        entry.asking = false;
        entry.next = Some(Instant::now() + entry.pause(period));
        let raises = is_missed && !entry.examined;
        entry.raised |= raises;
        entry.examined |= raises;
        raises
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::beat_answered;
    use crate::snapshot::objects::Kind;

    fn target(number: usize) -> ObjectRef {
        ObjectRef::new(Kind::Ingress, "shop", &format!("web{number:04}"))
    }

    fn ok() -> Vec<Beat> {
        vec![beat_answered(200)]
    }

    /// Whether something is asked once so many of the shortest periods have gone by.
    async fn asked_after(pulses: &Pulses, periods: f64) -> bool {
        tokio::time::advance(SHORTEST.mul_f64(periods)).await;
        let due = pulses.due(usize::MAX);
        due.iter().for_each(|(target, _)| assert!(!pulses.answered(target, false)));
        !due.is_empty()
    }

    #[tokio::test(start_paused = true)]
    async fn a_route_is_asked_again_and_again_but_not_while_it_is_examined() {
        let pulses = Pulses::new(20);
        pulses.keep(&target(1), ok());
        assert!(!asked_after(&pulses, 0.9).await);
        assert!(asked_after(&pulses, 0.1).await);
        assert!(asked_after(&pulses, 1.0).await);
        pulses.rest(&target(1));
        assert!(!asked_after(&pulses, 60.0).await);
        pulses.keep(&target(1), ok());
        assert!(asked_after(&pulses, 1.0).await);
        pulses.keep(&target(1), Vec::new());
        assert!(!asked_after(&pulses, 60.0).await, "there is nothing to ask");
        pulses.forget(&target(1));
        assert_eq!(pulses.lock().requests, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn all_routes_together_stay_within_the_budget_and_too_many_are_not_asked() {
        let pulses = Pulses::new(20);
        (0..200).for_each(|n| pulses.keep(&target(n), ok()));
        (0..200).for_each(|n| pulses.keep(&target(n), ok()));
        tokio::time::advance(Duration::from_secs(30)).await;
        let mut sent = 0;
        for _ in 0..50 {
            let due = pulses.due(4);
            assert!(due.len() <= 4);
            sent += due.len();
            due.iter().for_each(|(t, _)| assert!(!pulses.answered(t, false)));
            tokio::time::advance(Duration::from_millis(200)).await;
        }
        assert_eq!(sent, 200, "10 seconds are one round");
        (200..400).for_each(|n| pulses.keep(&target(n), ok()));
        assert!(!pulses.are_sent());
        assert!(!asked_after(&pulses, 600.0).await);
        (200..400).for_each(|n| pulses.forget(&target(n)));
        assert!(pulses.are_sent() && asked_after(&pulses, 600.0).await);
    }

    #[tokio::test(start_paused = true)]
    async fn false_alarms_make_pulses_rarer_until_examinations_come_by_themselves() {
        let pulses = Pulses::new(20);
        let false_alarm = async || {
            tokio::time::advance(Duration::from_secs(600)).await;
            assert_eq!(pulses.due(1).len(), 1);
            assert!(pulses.answered(&target(1), true));
            assert!(!pulses.answered(&target(1), true), "it is due already");
            pulses.keep(&target(1), ok());
        };
        pulses.keep(&target(1), ok());
        false_alarm().await;
        false_alarm().await;
        assert!(!asked_after(&pulses, 3.9).await);
        assert!(asked_after(&pulses, 0.1).await);
        pulses.keep(&target(1), ok());
        assert!(!asked_after(&pulses, 1.9).await, "an examination that comes by itself takes back one of two alarms");
        assert!(asked_after(&pulses, 0.1).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_route_is_asked_more_rarely() {
        let pulses = Pulses::new(20);
        let mut slow = ok();
        slow.iter_mut().for_each(|beat| beat.probe.timeout = SHORTEST * 2);
        pulses.keep(&target(1), slow);
        assert!(!asked_after(&pulses, 5.9).await);
        assert!(asked_after(&pulses, 0.1).await);
        assert!(!asked_after(&pulses, 5.9).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_true_alarm_makes_pulses_no_rarer() {
        let pulses = Pulses::new(20);
        pulses.keep(&target(1), ok());
        tokio::time::advance(SHORTEST).await;
        assert_eq!(pulses.due(1).len(), 1);
        assert!(pulses.answered(&target(1), true));
        pulses.keep(&target(1), vec![beat_answered(502)]);
        assert!(asked_after(&pulses, 1.0).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_while_the_route_is_examined_changes_nothing() {
        let pulses = Pulses::new(20);
        pulses.keep(&target(1), ok());
        tokio::time::advance(SHORTEST).await;
        assert_eq!(pulses.due(1).len(), 1);
        pulses.rest(&target(1));
        assert!(!pulses.answered(&target(1), true));
    }
}

//! Which target is due when, of a cluster or of a Docker engine. An event makes its targets due at once; every target is due again at its interval.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::snapshot::objects::ObjectRef;

/// A burst of events is one change: the target is due this long after the first of them.
pub const GATHER: Duration = Duration::from_millis(200);

/// How often in a row work is void where its target changes meanwhile.
const MOST_VOID: u8 = 4;

/// Targets by the time that they are due. A target is never handed out twice at once.
#[derive(Debug, Default)]
pub struct Queue {
    inner: Mutex<Inner>,
    changed: Notify,
    disturbed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    due: BTreeSet<(Instant, ObjectRef)>,
    entries: HashMap<ObjectRef, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    due: Option<Instant>,
    running: bool,
    touched_while_running: bool,
    void: u8,
    changed_at: Option<Instant>,
    suspected_at: Option<Instant>,
}

impl Inner {
    fn schedule(&mut self, target: &ObjectRef, at: Instant) {
        let entry = self.entries.entry(target.clone()).or_default();
        if let Some(old) = entry.due.replace(at) {
            self.due.remove(&(old, target.clone()));
        }
        self.due.insert((at, target.clone()));
    }
}

impl Queue {
    /// A target changed: it is due soon, or again right after the work on it that is under way.
    pub fn touch(&self, target: ObjectRef) {
        let now = Instant::now();
        let mut inner = self.lock();
        let entry = inner.entries.entry(target.clone()).or_default();
        entry.changed_at = Some(now);
        if entry.running {
            entry.touched_while_running = true;
            self.disturbed.notify_waiters();
        } else if entry.due.is_none_or(|due| due > now + GATHER) {
            inner.schedule(&target, now + GATHER);
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// A target that rests may have changed, as its answers say: it is due now, and what is seen of it may still change.
    pub fn suspect(&self, target: &ObjectRef) {
        let now = Instant::now();
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(target).filter(|e| !e.running) else { return };
        entry.suspected_at = Some(now);
        inner.schedule(target, now);
        drop(inner);
        self.changed.notify_one();
    }

    /// The next target, once it is due.
    pub async fn next(&self) -> ObjectRef {
        loop {
            let changed = self.changed.notified();
            let wait = match self.take() {
                Ok(target) => {
                    // Whoever else waits may have slept through what made this one due.
                    self.changed.notify_one();
                    return target;
                }
                Err(wait) => wait,
            };
            tokio::select! {
                () = changed => {}
                () = sleep(wait) => {}
            }
        }
    }

    fn take(&self) -> Result<ObjectRef, Option<Duration>> {
        let now = Instant::now();
        let mut inner = self.lock();
        match inner.due.first().cloned() {
            Some((at, target)) if at <= now => {
                inner.due.remove(&(at, target.clone()));
                let entry = inner.entries.entry(target.clone()).or_default();
                entry.due = None;
                entry.running = true;
                Ok(target)
            }
            Some((at, _)) => Err(Some(at - now)),
            None => Err(None),
        }
    }

    /// How long ago a target was touched.
    pub fn since_change(&self, target: &ObjectRef) -> Option<Duration> {
        self.lock().entries.get(target).and_then(|e| e.changed_at).map(|at| at.elapsed())
    }

    /// How long ago a target was touched or suspected: what follows from either may still be under way.
    pub fn since_doubt(&self, target: &ObjectRef) -> Option<Duration> {
        let inner = self.lock();
        let entry = inner.entries.get(target)?;
        entry.changed_at.max(entry.suspected_at).map(|at| at.elapsed())
    }

    /// Waits until a target that is worked on changes, which makes the work void: it is due again at once. One that never rests is not put
    /// off for ever, so that this may never return.
    pub async fn disturbed(&self, target: &ObjectRef) {
        loop {
            let disturbed = self.disturbed.notified();
            {
                let mut inner = self.lock();
                let entry = inner.entries.entry(target.clone()).or_default();
                if entry.touched_while_running && entry.void < MOST_VOID {
                    entry.void += 1;
                    return;
                }
            }
            disturbed.await;
        }
    }

    /// The work on a target is done; it is due again after this time, or is forgotten.
    pub fn done(&self, target: &ObjectRef, again: Option<Duration>) {
        let now = Instant::now();
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(target) else { return };
        entry.running = false;
        if !entry.touched_while_running {
            entry.void = 0;
        }
        if std::mem::take(&mut entry.touched_while_running) {
            inner.schedule(target, now + GATHER);
        } else if let Some(again) = again {
            inner.schedule(target, now + again);
        } else {
            inner.entries.remove(target);
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// How many targets are due now and wait for a worker.
    pub fn depth(&self) -> usize {
        let now = Instant::now();
        self.lock().due.iter().take_while(|(at, _)| *at <= now).count()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::objects::Kind;

    fn target(name: &str) -> ObjectRef {
        ObjectRef::new(Kind::Ingress, "shop", name)
    }

    async fn next_within(queue: &Queue, limit: Duration) -> Option<ObjectRef> {
        tokio::time::timeout(limit, queue.next()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_events_is_one_piece_of_work() {
        let queue = Queue::default();
        for _ in 0..5 {
            queue.touch(target("web"));
        }
        assert_eq!(next_within(&queue, Duration::from_secs(1)).await, Some(target("web")));
        queue.done(&target("web"), None);
        assert_eq!(next_within(&queue, Duration::from_secs(60)).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_touched_while_worked_on_is_due_again_and_never_twice_at_once() {
        let queue = Queue::default();
        queue.touch(target("web"));
        queue.next().await;
        queue.touch(target("web"));
        assert_eq!(next_within(&queue, Duration::from_secs(60)).await, None);
        queue.done(&target("web"), Some(Duration::from_secs(3600)));
        assert_eq!(next_within(&queue, Duration::from_secs(1)).await, Some(target("web")));
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_void_where_its_target_changes_meanwhile_but_not_for_ever() {
        let queue = Queue::default();
        let is_void = async |touched: bool| {
            queue.next().await;
            if touched {
                queue.touch(target("web"));
            }
            let void = tokio::time::timeout(Duration::from_secs(1), queue.disturbed(&target("web"))).await.is_ok();
            queue.done(&target("web"), Some(Duration::ZERO));
            void
        };
        queue.touch(target("web"));
        assert!(!is_void(false).await);
        for _ in 0..MOST_VOID {
            assert!(is_void(true).await);
        }
        assert!(!is_void(true).await, "it is put off for ever");
        assert!(!is_void(false).await);
        assert!(is_void(true).await, "it rested in between");
    }

    #[tokio::test(start_paused = true)]
    async fn a_suspect_is_due_now_unless_it_is_worked_on_or_unknown() {
        let queue = Queue::default();
        queue.suspect(&target("web"));
        assert_eq!(next_within(&queue, Duration::from_secs(60)).await, None);
        queue.touch(target("web"));
        queue.next().await;
        queue.suspect(&target("web"));
        queue.done(&target("web"), Some(Duration::from_secs(30)));
        assert_eq!(next_within(&queue, Duration::from_secs(29)).await, None);
        queue.suspect(&target("web"));
        assert_eq!(next_within(&queue, Duration::from_millis(1)).await, Some(target("web")));
        assert_eq!(queue.since_doubt(&target("web")), Some(Duration::from_millis(0)));
        assert!(queue.since_change(&target("web")) > Some(Duration::from_secs(29)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_is_due_again_at_its_interval_and_an_event_brings_it_forward() {
        let queue = Queue::default();
        queue.touch(target("web"));
        queue.next().await;
        queue.done(&target("web"), Some(Duration::from_secs(30)));
        assert_eq!(next_within(&queue, Duration::from_secs(29)).await, None);
        assert_eq!(next_within(&queue, Duration::from_secs(2)).await, Some(target("web")));
        queue.done(&target("web"), Some(Duration::from_secs(30)));
        queue.touch(target("web"));
        assert_eq!(next_within(&queue, Duration::from_secs(1)).await, Some(target("web")));
    }
}

//! What an engine's events said since somebody last asked: each change once, however often it was said.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::snapshot::docker::engine::Touched;

/// Events that come together are handled together.
const WINDOW: Duration = Duration::from_millis(100);

/// Changes that wait to be followed.
#[derive(Debug, Default)]
pub struct Changes {
    waiting: Mutex<Waiting>,
    came: Notify,
    broke: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    touched: BTreeSet<Touched>,
    since: Option<Instant>,
    lost: bool,
}

/// Changes that are followed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What they touch.
    pub touched: BTreeSet<Touched>,
    /// When the first of them came.
    pub since: Instant,
}

impl Changes {
    /// One more; [`Touched::Everything`] says that others may have been lost.
    pub fn add(&self, change: Touched) {
        let mut waiting = self.lock();
        if change == Touched::Everything {
            waiting.lost = true;
            self.broke.notify_one();
        } else {
            waiting.touched.insert(change);
            waiting.since.get_or_insert_with(Instant::now);
            self.came.notify_one();
        }
    }

    /// The changes of the next window. What was not handed out waits on, so that this may be given up at any time.
    pub async fn next(&self) -> Batch {
        while self.lock().since.is_none() {
            self.came.notified().await;
        }
        tokio::time::sleep(WINDOW).await;
        let mut waiting = self.lock();
        let since = waiting.since.take().unwrap_or_else(Instant::now);
        Batch { touched: std::mem::take(&mut waiting.touched), since }
    }

    /// Waits until changes may have been lost.
    pub async fn lost(&self) {
        while !self.lock().lost {
            self.broke.notified().await;
        }
    }

    /// Whoever reads everything now has what was lost before; says whether anything was.
    pub fn recover(&self) -> bool {
        std::mem::take(&mut self.lock().lost)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(id: &str) -> Touched {
        Touched::Container(id.into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_on_one_container_is_one_change_from_its_first_event_on() {
        let (changes, begun) = (Changes::default(), Instant::now());
        for _ in 0..1000 {
            changes.add(container("a"));
        }
        changes.add(container("b"));
        let batch = changes.next().await;
        assert_eq!(batch, Batch { touched: BTreeSet::from([container("a"), container("b")]), since: begun });
        assert!(tokio::time::timeout(Duration::from_secs(60), changes.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_loses_nothing() {
        let changes = Changes::default();
        changes.add(container("a"));
        assert!(tokio::time::timeout(WINDOW / 2, changes.next()).await.is_err());
        assert_eq!(changes.next().await.touched, BTreeSet::from([container("a")]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_lost_is_no_change_and_is_said_until_everything_is_read() {
        let changes = Changes::default();
        changes.add(Touched::Everything);
        assert!(tokio::time::timeout(Duration::from_secs(1), changes.next()).await.is_err());
        changes.lost().await;
        changes.lost().await;
        assert!(changes.recover());
        assert!(!changes.recover());
        assert!(tokio::time::timeout(Duration::from_secs(1), changes.lost()).await.is_err());
    }
}

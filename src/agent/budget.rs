//! How much an agent does at once and in a second, whatever it is asked for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::stream;

/// Requests under way at once: those of two controllers, as at a change of leader.
const AT_ONCE: usize = 2 * stream::IN_FLIGHT;
/// Requests begun in a second, beyond which they wait.
const PER_SECOND: u32 = 4000;
/// Requests that may begin together after a pause.
const BURST: u32 = 512;

/// The budget of one agent, for all its sessions.
#[derive(Debug)]
pub struct Budget {
    at_once: Arc<Semaphore>,
    pace: Pace,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { at_once: Arc::new(Semaphore::new(AT_ONCE)), pace: Pace::new(PER_SECOND, BURST) }
    }
}

impl Budget {
    /// A place for one more request; none where too many are under way.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.at_once.clone().try_acquire_owned().ok()
    }

    /// Waits for the request's turn in the second.
    pub async fn turn(&self) {
        tokio::time::sleep(self.pace.wait()).await;
    }
}

/// An even pace, with some room for what comes together.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    room: Duration,
    /// When the next request has its turn, if requests came evenly.
    next: Mutex<Option<Instant>>,
}

impl Pace {
    fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second;
        Pace { interval, room: interval * burst, next: Mutex::default() }
    }

    /// How long the next request has to wait.
    fn wait(&self) -> Duration {
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.map_or(now, |next| next.max(now));
        *next = Some(turn + self.interval);
        turn.duration_since(now).saturating_sub(self.room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_more_waits_its_turn() {
        let pace = Pace::new(100, 5);
        let waits: Vec<u128> = (0..8).map(|_| pace.wait().as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 10, 20]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(pace.wait(), Duration::ZERO);
    }

    #[test]
    fn there_are_only_so_many_places() {
        let budget = Budget::default();
        let taken: Vec<_> = (0..AT_ONCE).map_while(|_| budget.place()).collect();
        assert_eq!(taken.len(), AT_ONCE);
        assert!(budget.place().is_none());
        drop(taken);
        assert!(budget.place().is_some());
    }
}

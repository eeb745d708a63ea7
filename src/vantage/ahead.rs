//! The questions of one examination under way, and those that it will ask if what is silent stays so.

use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use super::Vantage;
use crate::causes::Observations;
use crate::probe::{Observation, Probe};

/// Questions at a vantage. Those that are still open when it is dropped are given up.
pub(super) struct Asking<'v> {
    vantage: &'v dyn Vantage,
    open: Vec<Probe>,
    under_way: FuturesUnordered<BoxFuture<'v, (Probe, Observation)>>,
    answers: Observations,
}

impl<'v> Asking<'v> {
    pub(super) fn at(vantage: &'v dyn Vantage) -> Self {
        Asking { vantage, open: Vec::new(), under_way: FuturesUnordered::new(), answers: Observations::new() }
    }

    /// The answers to these. While one is silent for so long, what follows from that is begun: it is foreseen from what is open and what
    /// was answered, and again where something came or was begun meanwhile.
    pub(super) async fn answers(
        &mut self,
        probes: &[Probe],
        patience: Duration,
        mut foresee: impl FnMut(&[Probe], &Observations) -> Vec<Probe>,
    ) -> Vec<Observation> {
        probes.iter().for_each(|p| self.begin(p));
        let mut look = Some(Instant::now() + patience);
        while !probes.iter().all(|p| self.answers.contains_key(p)) {
            tokio::select! {
                Some((probe, answer)) = self.under_way.next() => {
                    self.open.retain(|p| *p != probe);
                    self.answers.insert(probe, answer);
                    look = look.or_else(|| Some(Instant::now() + patience));
                }
                () = at(look) => {
                    let ahead = foresee(&self.open, &self.answers);
                    ahead.iter().for_each(|p| self.begin(p));
                    look = (!ahead.is_empty()).then(|| Instant::now() + patience);
                }
            }
        }
        probes.iter().filter_map(|p| self.answers.remove(p)).collect()
    }

    fn begin(&mut self, probe: &Probe) {
        if self.open.contains(probe) || self.answers.contains_key(probe) {
            return;
        }
        self.open.push(probe.clone());
        let (vantage, probe) = (self.vantage, probe.clone());
        self.under_way.push(Box::pin(async move {
            let answer = vantage.ask(&probe).await;
            (probe, answer)
        }));
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

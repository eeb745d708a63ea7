//! Sends pulses, from where examinations ask, and makes due what answers otherwise than it did.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::controller::worker::Shared;
use crate::diagnose::Beat;
use crate::snapshot::objects::ObjectRef;
use crate::vantage::Vantage;

/// How often is looked who is to be asked.
const TICK: Duration = Duration::from_millis(200);

/// Asks until it is aborted, while this replica leads.
pub async fn run(shared: Arc<Shared>, mut leader: watch::Receiver<bool>) {
    let mut asking = JoinSet::new();
    loop {
        if !*leader.borrow() {
            asking.abort_all();
            shared.pulses.clear();
            // An error means that the lease's task is gone, and with it the right to ask.
            if leader.wait_for(|leads| *leads).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(TICK).await;
        while asking.try_join_next().is_some() {}
        for (target, beats) in shared.pulses.due_within(TICK) {
            let shared = shared.clone();
            asking.spawn(async move { ask(&shared, &target, &beats).await });
        }
    }
}

async fn ask(shared: &Shared, target: &ObjectRef, beats: &[Beat]) {
    let answers = {
        let vantage = shared.vantage(target);
        join_all(beats.iter().map(|b| vantage.ask(&b.probe))).await
    };
    let is_missed = beats.iter().zip(&answers).any(|(beat, answer)| beat.is_missed_by(answer));
    shared.metrics.pulse(is_missed);
    if shared.pulses.answered(target, is_missed) {
        shared.queue.suspect(target);
    }
}

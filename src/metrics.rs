//! What the controller counts, and whoever watches Docker engines.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use strum::IntoEnumIterator;

use crate::api::Verdict;
use crate::queue::Queue;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfVerdict {
    verdict: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResult {
    result: &'static str,
}

/// Counters and gauges of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    verdicts: Family<OfVerdict, Gauge>,
    examinations: Family<OfVerdict, Counter>,
    seconds: Histogram,
    writes: Family<OfResult, Counter>,
    depth: Gauge,
    queues: Mutex<Vec<Weak<Queue>>>,
    followed: Histogram,
    agent_requests: Family<OfResult, Counter>,
    pulses: Family<OfResult, Counter>,
    /// Agents that are connected to this replica.
    pub agents: Gauge,
    /// 1 while this replica leads.
    pub leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Metrics {
            registry: Mutex::new(Registry::with_prefix("culprit")),
            verdicts: Family::default(),
            examinations: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            writes: Family::default(),
            depth: Gauge::default(),
            queues: Mutex::default(),
            followed: Histogram::new(exponential_buckets(0.125, 2.0, 10)),
            agent_requests: Family::default(),
            pulses: Family::default(),
            agents: Gauge::default(),
            leader: Gauge::default(),
        };
        if let Ok(mut registry) = metrics.registry.lock() {
            registry.register("verdicts", "Diagnoses by verdict", metrics.verdicts.clone());
            registry.register("examinations", "Examinations by verdict", metrics.examinations.clone());
            registry.register("examination_seconds", "Time of one examination", metrics.seconds.clone());
            registry.register("status_writes", "Status writes by result", metrics.writes.clone());
            registry.register("queue_depth", "Targets that are due and wait", metrics.depth.clone());
            registry.register(
                "follow_seconds",
                "Time from a change of a Docker engine to the document that follows it",
                metrics.followed.clone(),
            );
            registry.register("agents", "Agents that are connected to this replica", metrics.agents.clone());
            registry.register("agent_requests", "Requests to agents by result", metrics.agent_requests.clone());
            registry.register("pulses", "Pulses of routes by whether they were as before", metrics.pulses.clone());
            registry.register("leader", "Whether this replica leads", metrics.leader.clone());
        }
        metrics
    }
}

impl Metrics {
    /// Counts an examination.
    pub fn examined(&self, verdict: Verdict, took: Duration) {
        self.examinations.get_or_create(&OfVerdict { verdict: verdict.label() }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// Counts a status write.
    pub fn wrote(&self, well: bool) {
        self.writes.get_or_create(&OfResult { result: if well { "ok" } else { "error" } }).inc();
    }

    /// Counts a document that follows a change of a Docker engine.
    pub fn followed(&self, took: Duration) {
        self.followed.observe(took.as_secs_f64());
    }

    /// A queue whose depth counts for as long as it is there.
    pub fn count_queue(&self, queue: &Arc<Queue>) {
        self.queues().push(Arc::downgrade(queue));
    }

    fn depth(&self) -> usize {
        let mut queues = self.queues();
        queues.retain(|queue| queue.strong_count() > 0);
        queues.iter().filter_map(Weak::upgrade).map(|queue| queue.depth()).sum()
    }

    fn queues(&self) -> MutexGuard<'_, Vec<Weak<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request to an agent.
    pub fn asked_agent(&self, result: &'static str) {
        self.agent_requests.get_or_create(&OfResult { result }).inc();
    }

    /// Counts a pulse.
    pub fn pulse(&self, is_missed: bool) {
        self.pulses.get_or_create(&OfResult { result: if is_missed { "changed" } else { "same" } }).inc();
    }

    /// Everything as OpenMetrics text, given the verdicts that stand now.
    pub fn text(&self, verdicts: &[Verdict]) -> String {
        for verdict in Verdict::iter() {
            let count = verdicts.iter().filter(|v| **v == verdict).count();
            self.verdicts.get_or_create(&OfVerdict { verdict: verdict.label() }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.depth.set(i64::try_from(self.depth()).unwrap_or(i64::MAX));
        let mut text = String::new();
        if let Ok(registry) = self.registry.lock() {
            // Writing to a String cannot fail.
            let _ = encode(&mut text, &registry);
        }
        text
    }
}

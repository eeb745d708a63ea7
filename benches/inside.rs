//! How many connections and requests a second one core sends from inside a pod's network namespace, as an agent does. Needs root.
//!
//! Bars: 2,000 connections and 1,000 requests a second. What answers is another process, so that its work does not count.

#![cfg(target_os = "linux")]
#![expect(clippy::print_stdout, reason = "a bench says its figures")]

#[path = "../tests/support/pod.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod pod;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use culprit::probe::{Method, Outcome, PodRef, Probe, Question, Request, Scheme};
use culprit::vantage::inside::Pods;
use futures::StreamExt;
use pod::{ADDRESS, Pod, WEB};

const PROBES: usize = 20_000;
const AT_ONCE: usize = 32;

// As the binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    if std::env::var_os(pod::ROLE).is_some() {
        pod::serve();
        return;
    }
    let pod = Pod::start("bench", &[]);
    let pods = Pods::new(pod.roots());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for (name, probe) in [("connections", Probe::connect(SocketAddr::new(ADDRESS, WEB))), ("requests", request())] {
        let ask = |many| ask(&pods, pod.reference(), &probe, many);
        // The first ones meet cold caches.
        runtime.block_on(ask(PROBES / 10));
        let (before, begun) = (processor_time(), Instant::now());
        runtime.block_on(ask(PROBES));
        let (wall, processor) = (begun.elapsed(), processor_time() - before);
        let rate = |time: Duration| PROBES as f64 / time.as_secs_f64();
        println!("{name}: {:.0} a second ({wall:.2?}), {:.0} a second of a core ({processor:.2?})", rate(wall), rate(processor));
    }
}

async fn ask(pods: &Pods, pod: PodRef, probe: &Probe, many: usize) {
    let answers = futures::stream::iter((0..many).map(|_| pods.ask(&pod, probe))).buffer_unordered(AT_ONCE);
    let is_good = |outcome: &Outcome| match outcome {
        Outcome::Connected => true,
        Outcome::Response(response) => response.status == 200,
        _ => false,
    };
    let good = answers.filter(|o| std::future::ready(is_good(&o.outcome))).count().await;
    assert_eq!(good, many, "every probe is answered");
}

fn request() -> Probe {
    let request = Request {
        to: SocketAddr::new(ADDRESS, WEB),
        scheme: Scheme::Http,
        server_name: None,
        method: Method::Get,
        host: "shop.test".into(),
        path: "/".into(),
        headers: Vec::new(),
    };
    Probe::new(Question::Request(request.into()))
}

/// Time that this process' threads have spent on a processor.
fn processor_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux lists threads").flatten();
    let times = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    times.filter_map(|text| text.split_whitespace().next()?.parse().ok()).map(Duration::from_nanos).sum()
}

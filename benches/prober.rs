//! How many requests a second one core sends, each on a connection of its own, as a vantage sends them.
//!
//! Bar: 5,000 a second. What answers is another process, so that its work does not count.

#![expect(clippy::print_stdout, reason = "a bench says its figures")]

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use culprit::probe::{Method, Outcome, Probe, Question, Request, Scheme};
use culprit::vantage::Vantage;
use culprit::vantage::local::Local;
use futures::StreamExt;

/// Set in the process that answers.
const ANSWERS: &str = "CULPRIT_BENCH_ANSWERS";
const PORT: u16 = 18_471;
const REQUESTS: usize = 20_000;
/// Addresses that are asked; a vantage sends few requests at once to each.
const ADDRESSES: u8 = 16;
const AT_ONCE: usize = 32;

// As the binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    if std::env::var_os(ANSWERS).is_some() {
        serve();
    }
    let _server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // The first requests meet cold caches.
    runtime.block_on(ask(REQUESTS / 10));
    let (before, begun) = (processor_time(), Instant::now());
    runtime.block_on(ask(REQUESTS));
    let (wall, processor) = (begun.elapsed(), processor_time() - before);
    let rate = |time: Duration| REQUESTS as f64 / time.as_secs_f64();
    println!("requests           {REQUESTS}");
    println!("a second           {:.0} ({wall:.2?})", rate(wall));
    println!("a second of a core {:.0} ({processor:.2?} of processor time)", rate(processor));
}

async fn ask(requests: usize) {
    let vantage = Local::new("this process", Vec::new()).allowing_loopback();
    let probes: Vec<Probe> = (0..requests).map(probe).collect();
    let answers = futures::stream::iter(probes.iter().map(|p| vantage.ask(p))).buffer_unordered(AT_ONCE);
    let good = answers.filter(|o| std::future::ready(matches!(&o.outcome, Outcome::Response(r) if r.status == 200))).count().await;
    assert_eq!(good, requests, "every request is answered");
}

fn probe(number: usize) -> Probe {
    let last = u8::try_from(number % usize::from(ADDRESSES)).unwrap_or_default() + 1;
    let request = Request {
        to: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), PORT),
        scheme: Scheme::Http,
        server_name: None,
        method: Method::Get,
        host: format!("storefront-{number:05}.example.com"),
        path: "/".into(),
        headers: Vec::new(),
    };
    Probe::new(Question::Request(request.into()))
}

/// Time that this process has spent on a processor.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux counts processor time");
    Duration::from_nanos(text.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number of nanoseconds"))
}

/// The process that answers; it ends with this one.
struct Server(Child);

impl Server {
    fn start() -> Self {
        let itself = std::env::current_exe().expect("this program's own file");
        let mut child = Command::new(itself).env(ANSWERS, "1").stdout(Stdio::piped()).spawn().expect("a process that answers");
        let mut ready = [0];
        child.stdout.as_mut().expect("a pipe").read_exact(&mut ready).expect("the process that answers is ready");
        Server(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says that it is ready, and answers.
fn serve() -> ! {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).expect("the bench's port is free");
    std::io::stdout().write_all(b".").and_then(|()| std::io::stdout().flush()).expect("standard output");
    support::server::answer(&listener)
}

//! Processor time and memory of the agent on a node with 100 pods: at rest, and while every pod is looked into and asked from. Needs root.
//!
//! The agent is the real program in a process of its own, connected over TLS to a controller's listener; the pods are processes in network
//! namespaces and control groups of their own.

#![cfg(target_os = "linux")]
#![expect(clippy::print_stdout, reason = "a bench says its figures")]

#[path = "../tests/support/agents.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod agents;
#[path = "../tests/support/many.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod many;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agents::Rig;
use culprit::probe::{Outcome, Probe, Question};
use futures::StreamExt;
use many::Many;

const PODS: usize = 100;
/// How long is measured, at rest and at work.
const LONG: Duration = Duration::from_secs(60);
/// How often every pod is asked at work: as often as a route is.
const ROUND: Duration = Duration::from_secs(30);
const AT_ONCE: usize = 8;
/// Settings of the allocator, as the installation has them (`deploy/overlays/agents/agent.yaml`).
const SETTINGS: [(&str, &str); 2] = [("MIMALLOC_PURGE_DELAY", "0"), ("MIMALLOC_ALLOW_THP", "0")];
/// Ticks of processor time in a second, as `/proc` counts on every architecture.
const TICKS: f64 = 100.0;

#[tokio::main]
async fn main() {
    let mut many = Many::start(PODS);
    many.enter_groups();
    let rig = Rig::new().await;
    let agent = Agent::start(&rig);
    rig.until("the agent is connected", || rig.agents.has("node1")).await;
    tokio::time::sleep(Duration::from_secs(3)).await;

    let before = agent.ticks();
    tokio::time::sleep(LONG).await;
    agent.say("at rest", before, LONG);

    let (before, begun) = (agent.ticks(), Instant::now());
    let mut answered = 0;
    while begun.elapsed() < LONG {
        let round = Instant::now();
        answered += ask_all(&rig, &many).await;
        tokio::time::sleep(ROUND.saturating_sub(round.elapsed())).await;
    }
    agent.say(&format!("{answered} answers, of a look and a connection for each pod twice a minute"), before, begun.elapsed());
}

/// Looks into every pod, and connects from it. Returns how many were answered.
async fn ask_all(rig: &Rig, many: &Many) -> usize {
    let pods = many.references();
    let asked = pods.iter().enumerate().flat_map(|(number, pod)| {
        [Probe::new(Question::Look(pod.clone())), Probe::connect(many.closed_port(number))].map(|probe| (pod, probe))
    });
    let answers = futures::stream::iter(asked.map(async |(pod, probe)| rig.agents.ask("node1", pod, &probe).await));
    let is_good = |outcome: &Outcome| !matches!(outcome, Outcome::NotSent(_));
    answers.buffer_unordered(AT_ONCE).filter(|a| std::future::ready(a.as_ref().is_ok_and(|o| is_good(&o.outcome)))).count().await
}

/// The agent's process; ends with its value.
struct Agent(Child);

impl Agent {
    fn start(rig: &Rig) -> Self {
        let dial = rig.dial();
        let mut command = Command::new(env!("CARGO_BIN_EXE_culprit"));
        command.args(["agent", "--controller", &dial.address.to_string(), "--server-name", &dial.server_name]);
        command.envs(SETTINGS).arg("--ca-file").arg(dial.ca).arg("--token-file").arg(dial.token);
        Agent(command.stdout(Stdio::null()).spawn().expect("the agent begins"))
    }

    /// Processor time so far.
    fn ticks(&self) -> u64 {
        let stat = self.read("stat");
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        fields[11..13].iter().map(|f| f.parse::<u64>().expect("ticks")).sum()
    }

    fn say(&self, when: &str, before: u64, over: Duration) {
        let status = self.read("status");
        let megabytes = |key: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(key)).expect("a figure");
            line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1000.0
        };
        let share = (self.ticks() - before) as f64 / TICKS / over.as_secs_f64() * 100.0;
        let (now, most, program) = (megabytes("VmRSS:"), megabytes("VmHWM:"), megabytes("RssFile:"));
        println!(
            "{when}: {share:.2} % of a core, {now:.1} MB resident, {program:.1} of them its program, {most:.1} MB at most ({PODS} pods)"
        );
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).expect("the agent runs")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

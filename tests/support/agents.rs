//! A controller's listener for agents and agents of it, over TLS on loopback.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use culprit::agent::Works;
use culprit::agent::session::{self, Dial, SessionError, Shared};
use culprit::controller::agents::authority::Authorities;
use culprit::controller::agents::review::{Denied, Reviews};
use culprit::controller::agents::{Agents, serve};
use culprit::probe::{Observation, Outcome, PodRef, Probe, Signature};
use culprit::stream::{Token, server_name};
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Ports that the scripted works answer in a way of their own; any other is connected to.
pub const SILENT: u16 = 1;
pub const SLOW: u16 = 2;
pub const HUGE: u16 = 3;

/// Answers by the port that is asked for.
#[derive(Default)]
pub struct Script {
    pub asked: AtomicUsize,
}

impl Works for Script {
    fn ask<'a>(&'a self, _: &'a PodRef, probe: &'a Probe) -> BoxFuture<'a, Observation> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let outcome = match probe.address().map(|to| to.port()) {
                Some(SILENT) => pending().await,
                Some(HUGE) => Outcome::Broken { signature: Signature::HdrBad, detail: "x".repeat(2 << 20), first_bytes: Vec::new() },
                Some(SLOW) => {
                    tokio::time::sleep(Duration::from_millis(400)).await;
                    Outcome::Connected
                }
                _ => Outcome::Connected,
            };
            let at = Timestamp::UNIX_EPOCH;
            Observation { probe: probe.clone(), vantage: "what an agent says".into(), at, took: Duration::from_millis(1), outcome }
        })
    }
}

/// Says whose tokens are.
#[derive(Default)]
pub struct Passports {
    pub nodes: BTreeMap<&'static str, &'static str>,
    pub shown: Mutex<Vec<String>>,
}

impl Reviews for Passports {
    fn review<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<String, Denied>> {
        self.shown.lock().expect("no test panics with it").push(token.reveal().to_owned());
        let node = self.nodes.get(token.reveal()).map(ToString::to_string);
        Box::pin(async move { node.ok_or(Denied::Invalid(String::new())) })
    }
}

/// A listener for agents, and the files that its agents have.
pub struct Rig {
    pub agents: Arc<Agents>,
    pub address: SocketAddr,
    pub passports: Arc<Passports>,
    files: tempfile::TempDir,
    authorities: Authorities,
    serving: Option<Runtime>,
}

impl Rig {
    /// Takes the token `of-node1` for node1's, and `of-node2` for node2's.
    pub async fn new() -> Self {
        let authorities = Authorities::default().renewed(Timestamp::now()).expect("an authority can be made");
        let passports = Passports { nodes: [("of-node1", "node1"), ("of-node2", "node2")].into(), ..Passports::default() };
        let (agents, passports) = (Arc::new(Agents::default()), Arc::new(passports));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let serving = Some(begin(listener, &authorities, &agents, &passports));
        let rig = Rig { agents, address, passports, files: tempfile::tempdir().expect("a folder"), authorities, serving };
        rig.write("ca.crt", &rig.authorities.bundle());
        rig.write("token", "of-node1\n");
        rig
    }

    /// The certificates that its agents trust.
    pub fn bundle(&self) -> String {
        self.authorities.bundle()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.files.path().join(name), text).expect("a file can be written");
    }

    /// How its agents dial.
    pub fn dial(&self) -> Dial {
        Dial {
            address: self.address,
            server_name: server_name("culprit-system"),
            ca: self.files.path().join("ca.crt"),
            token: self.files.path().join("token"),
        }
    }

    /// One session of an agent.
    pub fn session(&self, script: Arc<Script>) -> AgentSession {
        let (dial, ended) = (self.dial(), CancellationToken::new());
        let shared = Arc::new(Shared::new(script));
        let running = tokio::spawn({
            let (shared, ended) = (shared.clone(), ended.clone());
            async move { session::run(&dial, &shared, ended).await }
        });
        AgentSession { shared, ended, running }
    }

    /// One session of node1's agent, once the controller has it.
    pub async fn connected(&self) -> AgentSession {
        self.connected_with(Arc::default()).await
    }

    /// The same, which answers by a script.
    pub async fn connected_with(&self, script: Arc<Script>) -> AgentSession {
        let session = self.session(script);
        self.until("node1 is connected", || self.agents.has("node1")).await;
        session
    }

    /// Ends as a controller that is killed does, connections and all, and listens again at the same port.
    pub async fn restart(&mut self) {
        self.end();
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        self.serving = Some(begin(listener, &self.authorities, &self.agents, &self.passports));
    }

    fn end(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.shutdown_background();
        }
    }

    /// Asks node1's agent.
    pub async fn ask(&self, probe: &Probe) -> Result<Observation, culprit::controller::agents::Unanswered> {
        self.agents.ask("node1", &gateway(), probe).await
    }

    pub async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..500 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it never came that {what}");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.end();
    }
}

/// Serves in a runtime of its own, since connections live in tasks of theirs.
fn begin(listener: TcpListener, authorities: &Authorities, agents: &Arc<Agents>, passports: &Arc<Passports>) -> Runtime {
    let config = authorities.serve(&server_name("culprit-system"), Timestamp::now()).expect("a certificate can be made");
    let (_, tls) = watch::channel(Some(config));
    let runtime = Runtime::new().expect("a runtime");
    let listener = listener.into_std().expect("a listener");
    let (agents, passports) = (agents.clone(), passports.clone());
    runtime.spawn(async move { serve::run(TcpListener::from_std(listener).expect("a listener"), tls, agents, passports).await });
    runtime
}

/// A running session of an agent.
pub struct AgentSession {
    pub shared: Arc<Shared>,
    pub ended: CancellationToken,
    pub running: JoinHandle<Result<(), SessionError>>,
}

impl AgentSession {
    /// Why it ended.
    pub async fn why(self) -> String {
        let ended = tokio::time::timeout(Duration::from_secs(5), self.running).await.expect("it ends");
        ended.expect("it does not panic").err().map(|e| e.to_string()).unwrap_or_default()
    }
}

pub fn gateway() -> PodRef {
    PodRef { namespace: "traefik".into(), name: "traefik-1".into(), uid: String::new() }
}

pub fn connect(port: u16) -> Probe {
    Probe::connect(([10, 0, 0, 7], port).into())
}

//! The controller: watches routes, examines those that an event touches, and keeps their Diagnoses.
//!
//! ```text
//! watches ──► State (Snapshot + Diagnoses) ──► touched targets ──► Queue ──► workers ──► vantage::examine
//!                                                                              │
//!                                                      writer (status) ◄───────┴──► events, metrics
//! ```

pub mod agents;
pub mod checks;
pub mod diagnoses;
pub mod events;
pub mod hosts;
pub mod placing;
mod pulses;
mod server;
mod state;
pub mod touched;
mod watches;
mod worker;
pub mod writer;

pub use state::opted_out;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube_lease_manager::LeaseManagerBuilder;
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::snapshot::kubernetes::follow;
use crate::snapshot::kubernetes::list::root;

/// How the controller runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where health and metrics are served.
    pub metrics_address: SocketAddr,
    /// Whether a lease decides which replica works.
    pub leader_election: bool,
    /// Namespace of the lease.
    pub namespace: String,
    /// Name of this replica.
    pub identity: String,
    /// Targets examined at once.
    pub concurrency: usize,
    /// Requests a second, over all routes, that only ask whether something changed; none with 0.
    pub pulses: u32,
    /// How agents are served, where they are.
    pub agents: Option<agents::Options>,
    /// The Docker hosts whose gateways are kept, too.
    pub hosts: hosts::Options,
}

/// Why the controller could not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No API server is configured.
    #[error("no cluster is configured: {0}")]
    Client(String),
    /// The lease cannot be had.
    #[error("the lease {namespace}/culprit cannot be used: {reason}")]
    Lease {
        /// Its namespace.
        namespace: String,
        /// Why.
        reason: String,
    },
    /// Health and metrics cannot be served.
    #[error("nothing can be served at {address}: {source}")]
    Serve {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// How long work under way may go on after the end was asked for.
const GRACE: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or SIGINT.
pub async fn run(options: Options) -> Result<(), Error> {
    let client = client().await?;
    let metrics = Arc::new(Metrics::default());
    let state = Arc::new(state::State::default());
    let queue = Arc::new(Queue::default());
    metrics.count_queue(&queue);
    let listener = tokio::net::TcpListener::bind(options.metrics_address)
        .await
        .map_err(|source| Error::Serve { address: options.metrics_address, source })?;
    let server = tokio::spawn(server::serve(listener, state.clone(), metrics.clone()));
    let watching = tokio::spawn(watches::run(client.clone(), state.clone(), queue.clone()));
    let agents = Arc::new(agents::Agents::new(metrics.clone()));
    let serving = match &options.agents {
        Some(serve) => Vec::from(agents::start(client.clone(), &options.namespace, serve, agents.clone()).await?),
        None => Vec::new(),
    };
    let (leader, lease) = lead(&client, &options).await?;
    let checking = options.agents.as_ref().map(|serve| {
        let (client, state, pods) = (client.clone(), state.clone(), agents.clone());
        let checks = checks::Checks { client, state, pods, controller: options.namespace.clone(), agents: serve.namespace.clone() };
        tokio::spawn(checks::run(Arc::new(checks), leader.clone()))
    });
    let hosts = hosts::run(client.clone(), options.namespace.clone(), options.hosts.clone(), leader.clone(), metrics.clone());
    let hosts = tokio::spawn(hosts);
    let shared = worker::Shared::new(client, &options, state, queue, metrics, agents);
    let pulsing = tokio::spawn(pulses::asking::run(shared.clone(), leader.clone()));
    let workers = worker::start(&shared, leader.clone(), options.concurrency);
    tracing::info!(identity = options.identity, "started");
    terminated().await;
    tracing::info!("ending: work under way is finished first");
    let _ = tokio::time::timeout(GRACE, workers.finish()).await;
    serving.iter().chain(&checking).chain([&watching, &server, &hosts, &pulsing]).for_each(tokio::task::JoinHandle::abort);
    // The lease is released when nobody looks at it any more.
    drop(leader);
    if let Some(lease) = lease {
        let _ = tokio::time::timeout(GRACE, lease).await;
    }
    Ok(())
}

/// A client whose connections count as dead where nothing is read from them for longer than a living watch is quiet.
async fn client() -> Result<Client, Error> {
    let mut config = kube::Config::infer().await.map_err(|e| Error::Client(root(&e)))?;
    config.read_timeout = Some(follow::SILENT + Duration::from_secs(10));
    Client::try_from(config).map_err(|e| Error::Client(root(&e)))
}

type Lease = tokio::task::JoinHandle<()>;

/// Whether this replica leads, as it changes.
async fn lead(client: &Client, options: &Options) -> Result<(watch::Receiver<bool>, Option<Lease>), Error> {
    if !options.leader_election {
        let (sender, receiver) = watch::channel(true);
        let kept = tokio::spawn(async move { sender.closed().await });
        return Ok((receiver, Some(kept)));
    }
    let manager = LeaseManagerBuilder::new(client.clone(), "culprit")
        .with_namespace(&options.namespace)
        .with_identity(&options.identity)
        .with_duration(15)
        .with_grace(5)
        .build()
        .await
        .map_err(|e| Error::Lease { namespace: options.namespace.clone(), reason: root(&e) })?;
    let (receiver, task) = manager.watch().await;
    let task = tokio::spawn(async move {
        if let Ok(Err(error)) = task.await {
            tracing::error!(error = %root(&error), "the lease is lost");
        }
    });
    Ok((receiver, Some(task)))
}

/// Waits until the process is told to end.
pub async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

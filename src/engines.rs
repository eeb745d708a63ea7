//! Watching Docker engines: their gateways' Diagnoses are kept up to date, and served.
//!
//! ```text
//! engine's events ──► inventory, renewed where they touch it ──► Host, swapped as a whole
//!        └─► touched (pure): which gateways ──► Queue ──► examine from inside each ──► documents ──► /diagnoses, /metrics, resources
//! ```

mod changes;
mod keeper;
mod serve;
mod touched;
mod write;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::controller::terminated;
use crate::metrics::Metrics;
use crate::snapshot::docker::engine::{Connection, Endpoint};
pub use keeper::Keeper;
pub use write::Writer;

/// What the service is told.
#[derive(Clone)]
pub struct Options {
    /// How often each gateway is asked while nothing changes.
    pub interval: Duration,
    /// Image of helpers, where namespaces cannot be entered.
    pub helper_image: String,
    /// Where documents are written as resources, if anywhere.
    pub writer: Option<Writer>,
}

/// Pause before an engine that did not answer at first is asked again.
const RETRY: Duration = Duration::from_secs(5);

/// Watches one engine for ever, once it answers.
pub async fn keep(engine: &Endpoint, options: &Options, metrics: &Arc<Metrics>) {
    let connection = loop {
        match Connection::open(engine.clone()).await {
            Ok(connection) => break connection,
            Err(error) => tracing::warn!(%error, "the engine cannot be asked, trying again"),
        }
        tokio::time::sleep(RETRY).await;
    };
    Arc::new(Keeper::new(connection, options, metrics.clone())).watch().await;
}

/// Watches engines until the process is told to end, and serves their documents and metrics at an address.
///
/// # Errors
///
/// Where the address cannot be served.
pub async fn run(connections: Vec<Connection>, address: SocketAddr, options: &Options) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let metrics = Arc::new(Metrics::default());
    let keepers: Vec<Arc<Keeper>> = connections.into_iter().map(|c| Arc::new(Keeper::new(c, options, metrics.clone()))).collect();
    let served = tokio::spawn(serve::serve(listener, keepers.clone(), metrics));
    let watching = futures::future::join_all(keepers.iter().map(|keeper| keeper.watch()));
    tokio::select! {
        _ = watching => {}
        () = terminated() => {}
    }
    served.abort();
    futures::future::join_all(keepers.iter().map(|keeper| keeper.close())).await;
    Ok(())
}

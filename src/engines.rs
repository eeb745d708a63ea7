//! Watching Docker engines: their gateways' Diagnoses are kept up to date, and served.
//!
//! ```text
//! engine's events ──► touched (pure): which gateways ──► examine from inside each ──► documents ──► /diagnoses, /metrics
//!        └─► inventory, read anew ──► Host, swapped as a whole
//! ```

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
use crate::snapshot::docker::engine::Connection;
pub use keeper::Keeper;
pub use write::Writer;

/// What the service is told.
#[derive(Clone)]
pub struct Options {
    /// Where metrics and documents are served.
    pub address: SocketAddr,
    /// How often each gateway is asked while nothing changes.
    pub interval: Duration,
    /// Image of helpers, where namespaces cannot be entered.
    pub helper_image: String,
    /// Where documents are written as resources, if anywhere.
    pub writer: Option<Writer>,
}

/// Watches engines until the process is told to end.
///
/// # Errors
///
/// Where the address cannot be served.
pub async fn run(connections: Vec<Connection>, options: &Options) -> std::io::Result<()> {
    let listener = TcpListener::bind(options.address).await?;
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

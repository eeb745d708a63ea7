//! The agents: who is connected, how they get in, and how they are asked.
//!
//! ```text
//! keep (Secret, ConfigMap) ──► authority ──► TLS ──► door (TokenReview) ──► session ──► registry ◄── ask
//! ```
//!
//! Every replica serves them, whether it leads or not, so that whoever leads next can ask them at once.

pub mod authority;
mod door;
pub mod keep;
pub mod registry;
pub mod review;
pub mod serve;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;

use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use registry::{Agents, Unanswered};

use super::Error;

/// How agents are served.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where.
    pub address: SocketAddr,
    /// Namespace of the agents.
    pub namespace: String,
}

/// Serves agents until the tasks are aborted.
pub async fn start(client: Client, namespace: &str, options: &Options, agents: Arc<Agents>) -> Result<[JoinHandle<()>; 2], Error> {
    let failed = |source| Error::Serve { address: options.address, source };
    let listener = TcpListener::bind(options.address).await.map_err(failed)?;
    let (sender, tls) = watch::channel(None);
    let keeper = keep::Keeper::new(client.clone(), namespace, &options.namespace);
    let reviews = Arc::new(review::TokenReviews::new(client, &options.namespace));
    Ok([tokio::spawn(keeper.run(sender)), tokio::spawn(serve::run(listener, tls, agents, reviews))])
}

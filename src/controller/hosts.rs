//! Docker hosts: their gateways' Diagnoses are kept beside the cluster's, as `culprit docker --write-diagnoses` keeps them.

use std::sync::Arc;

use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::diagnose::Settings;
use crate::engines::{self, Writer};
use crate::metrics::Metrics;
use crate::snapshot::docker::engine::Endpoint;

/// Which Docker hosts, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Their engines.
    pub engines: Vec<Endpoint>,
    /// Image of helpers, where namespaces cannot be entered.
    pub helper_image: String,
}

/// Keeps the gateways of all hosts while this replica leads, in a namespace of the cluster, until it is aborted.
pub async fn run(client: Client, namespace: String, options: Options, leader: watch::Receiver<bool>, metrics: Arc<Metrics>) {
    let mut hosts = JoinSet::new();
    for engine in options.engines {
        let (client, namespace, image) = (client.clone(), namespace.clone(), options.helper_image.clone());
        // Whoever led meanwhile has written too: what was written before counts for nothing.
        let fresh = move || {
            let writer = Some(Writer::new(client.clone(), namespace.clone()));
            engines::Options { interval: Settings::default().interval, helper_image: image.clone(), writer }
        };
        hosts.spawn(keep(engine, fresh, leader.clone(), metrics.clone()));
    }
    while hosts.join_next().await.is_some() {}
}

async fn keep(engine: Endpoint, fresh: impl Fn() -> engines::Options, mut leader: watch::Receiver<bool>, metrics: Arc<Metrics>) {
    // An error means that the lease's task is gone, and with it the right to work.
    while leader.wait_for(|leads| *leads).await.is_ok() {
        let options = fresh();
        tokio::select! {
            () = engines::keep(&engine, &options, &metrics) => {}
            _ = leader.wait_for(|leads| !*leads) => {}
        }
    }
}

//! /healthz, /readyz and /metrics: the only listener.

use std::sync::Arc;

use axum::Router;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

use super::state::State;
use crate::metrics::Metrics;

#[derive(Clone)]
struct Served {
    state: Arc<State>,
    metrics: Arc<Metrics>,
}

/// Serves until it is aborted.
pub async fn serve(listener: TcpListener, state: Arc<State>, metrics: Arc<Metrics>) {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_page))
        .with_state(Served { state, metrics });
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "nothing is served any more");
    }
}

/// Ready once everything was listed, so that a rollout waits for it.
async fn ready(Extract(served): Extract<Served>) -> (StatusCode, &'static str) {
    if served.state.is_complete() { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "objects are being listed\n") }
}

async fn metrics_page(Extract(served): Extract<Served>) -> ([(&'static str, &'static str); 1], String) {
    let verdicts = served.state.diagnoses().verdicts().collect::<Vec<_>>();
    let text = served.metrics.text(&verdicts);
    ([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}

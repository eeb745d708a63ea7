//! /healthz, /metrics, /diagnoses and /diagnoses/HOST/NAME.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::Keeper;
use crate::api::{Diagnosis, Verdict};
use crate::metrics::Metrics;
use crate::report::document::{self, Shape};

#[derive(Clone)]
struct Served {
    keepers: Arc<Vec<Arc<Keeper>>>,
    metrics: Arc<Metrics>,
}

/// Serves until it is aborted.
pub async fn serve(listener: TcpListener, keepers: Vec<Arc<Keeper>>, metrics: Arc<Metrics>) {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(metrics_page))
        .route("/diagnoses", get(all))
        .route("/diagnoses/{host}/{name}", get(one))
        .with_state(Served { keepers: Arc::new(keepers), metrics });
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "nothing is served any more");
    }
}

impl Served {
    fn documents(&self) -> Vec<Diagnosis> {
        self.keepers.iter().flat_map(|keeper| keeper.documents()).collect()
    }
}

async fn all(State(served): State<Served>) -> Response {
    let documents = served.documents();
    json(document::json(&documents.iter().collect::<Vec<_>>(), Shape::List))
}

async fn one(State(served): State<Served>, Path((host, name)): Path<(String, String)>) -> Response {
    let documents = served.documents();
    let is_meant = |d: &&Diagnosis| d.spec.target.name == name && d.spec.target.host.as_deref() == Some(&host);
    match documents.iter().find(is_meant) {
        Some(found) => json(document::json(&[found], Shape::AsMany)),
        None => (StatusCode::NOT_FOUND, "there is no such gateway\n").into_response(),
    }
}

async fn metrics_page(State(served): State<Served>) -> Response {
    let verdict = |d: &Diagnosis| d.status.as_ref().map_or(Verdict::Unknown, |s| s.verdict);
    let text = served.metrics.text(&served.documents().iter().map(verdict).collect::<Vec<_>>());
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

fn json(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

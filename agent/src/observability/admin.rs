//! The admin server: `/metrics`, `/healthz` and `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::observability::metrics::Metrics;

/// The content type of Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Readiness of the agent, as `/readyz` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// With the cause.
    NotReady(String),
}

#[derive(Clone)]
struct AdminState {
    metrics: Arc<Metrics>,
    readiness: watch::Receiver<Readiness>,
}

/// Opens the socket of the admin server.
///
/// # Errors
/// If the address cannot be used.
pub async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("could not listen on {listen}; choose another address with --listen")
    })?;
    tracing::info!(address = %listener.local_addr()?, "serving /metrics, /healthz and /readyz");
    Ok(listener)
}

/// Serves until `shutdown` is cancelled and all open requests are answered.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    readiness: watch::Receiver<Readiness>,
    shutdown: CancellationToken,
) {
    let router = Router::new()
        .route("/metrics", get(get_metrics))
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(get_readiness))
        .with_state(AdminState { metrics, readiness });
    let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin server stopped; metrics and readiness are not served");
    }
}

async fn get_metrics(State(state): State<AdminState>) -> impl IntoResponse {
    match state.metrics.encode() {
        Ok(text) => Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], text)),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

async fn get_readiness(State(state): State<AdminState>) -> impl IntoResponse {
    match state.readiness.borrow().clone() {
        Readiness::Ready => (StatusCode::OK, "ok".to_owned()),
        Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

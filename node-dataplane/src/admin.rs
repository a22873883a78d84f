//! The node's own routes on the metrics server: `/proxyMode`, `/snapshot`, `/virtualservers`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use meshlite_proto::subscribe::SessionStatus;
use meshlite_runtime::{admin, readiness::Readiness};
use prometheus_client::registry::Registry;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::program::run::Query;

/// How long the table may take to be read.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
struct Shared {
    mode: &'static str,
    session: watch::Receiver<SessionStatus>,
    queries: mpsc::Sender<Query>,
}

/// Probes and metrics, and what this node is, holds and has programmed.
pub(crate) fn router(
    mode: &'static str,
    readiness: Readiness,
    metrics: Arc<Registry>,
    session: watch::Receiver<SessionStatus>,
    queries: mpsc::Sender<Query>,
) -> Router {
    let ours = Router::new()
        .route("/proxyMode", get(proxy_mode))
        .route("/snapshot", get(snapshot))
        .route("/virtualservers", get(virtual_servers))
        .with_state(Shared {
            mode,
            session,
            queries,
        });
    admin::router(readiness, metrics).merge(ours)
}

async fn proxy_mode(State(shared): State<Shared>) -> &'static str {
    shared.mode
}

async fn snapshot(State(shared): State<Shared>) -> Json<SessionStatus> {
    let status = shared.session.borrow().clone();
    Json(status)
}

async fn virtual_servers(State(shared): State<Shared>) -> Response {
    let (query, answer) = oneshot::channel();
    let asked = async {
        shared.queries.send(query).await.ok()?;
        answer.await.ok()
    };
    match timeout(QUERY_TIMEOUT, asked).await {
        Ok(Some(view)) => Json(view).into_response(),
        Ok(None) | Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the table cannot be read now\n",
        )
            .into_response(),
    }
}

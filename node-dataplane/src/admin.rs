//! The node's own routes on the metrics server: `/proxyMode`, `/configz`, `/sets`, `/snapshot`, `/resources/{type}`, `/virtualservers`.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use meshlite_proto::{
    installed::{self, AnswerError, Filter},
    standing::{Observer, Standing},
};
use meshlite_runtime::{admin, readiness::Readiness};
use meshlite_snapshot::Snapshot;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
    registry::{Registry, Unit},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
    time::timeout,
};

use crate::{kernel::nftables, program::run};

/// How long the table may take to be read.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
struct Shared {
    about: Arc<About>,
    session: Observer,
    installed: watch::Receiver<Snapshot>,
    queries: mpsc::Sender<run::Query>,
}

/// What is known from the start.
#[derive(Debug)]
pub(crate) struct About {
    /// The mode that carries the traffic.
    pub(crate) mode: &'static str,
    /// The configuration, as kube-proxy would show it.
    pub(crate) configz: serde_json::Value,
}

/// Probes and metrics, and what this node is, holds and has programmed.
pub(crate) fn router(
    about: About,
    readiness: Readiness,
    metrics: Arc<Registry>,
    session: Observer,
    installed: watch::Receiver<Snapshot>,
    queries: mpsc::Sender<run::Query>,
) -> Router {
    let ours = Router::new()
        .route("/proxyMode", get(proxy_mode))
        .route("/configz", get(configz))
        .route("/sets", get(sets))
        .route("/snapshot", get(snapshot))
        .route("/resources/{kind}", get(resources))
        .route("/virtualservers", get(virtual_servers))
        .with_state(Shared {
            about: Arc::new(about),
            session,
            installed,
            queries,
        });
    admin::router(readiness, metrics).merge(ours)
}

async fn proxy_mode(State(shared): State<Shared>) -> &'static str {
    shared.about.mode
}

async fn configz(State(shared): State<Shared>) -> Json<serde_json::Value> {
    Json(shared.about.configz.clone())
}

/// The sets of the nft table with their members; none where the mode has no such table.
async fn sets(State(shared): State<Shared>) -> Response {
    if !matches!(shared.about.mode, "ipvs" | "nftables") {
        return Json([(); 0]).into_response();
    }
    let refusal = |error: String| (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"));
    match spawn_blocking(nftables::sets).await {
        Ok(Ok(sets)) => Json(sets).into_response(),
        Ok(Err(error)) => refusal(error.to_string()).into_response(),
        Err(error) => refusal(error.to_string()).into_response(),
    }
}

async fn snapshot(State(shared): State<Shared>) -> Json<Standing> {
    Json(shared.session.standing())
}

async fn resources(
    State(shared): State<Shared>,
    Path(kind): Path<String>,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
) -> Response {
    let snapshot = shared.installed.borrow().clone();
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    match installed::answer(&snapshot, &kind, &filter, accept.unwrap_or_default()) {
        Ok((media_type, body)) => ([(header::CONTENT_TYPE, media_type)], body).into_response(),
        Err(error @ AnswerError::UnknownType(_)) => {
            (StatusCode::NOT_FOUND, format!("{error}\n")).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
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

/// Tells scrapers where the subscription stands.
#[derive(Debug)]
pub(crate) struct Scraped(pub(crate) Observer);

impl Collector for Scraped {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let standing = self.0.standing();
        let gauges = [
            (
                "meshlite_node_control_plane_connected",
                "Whether a control plane is followed at this time",
                standing.status.connected,
            ),
            (
                "meshlite_node_snapshot_provisional",
                "Whether what is programmed comes from disk, and no control plane has confirmed it yet",
                standing.status.provisional,
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::from(value));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let age = ConstGauge::new(standing.age_seconds);
        age.encode(encoder.encode_descriptor(
            "meshlite_node_snapshot_age",
            "For how long no control plane has confirmed what is programmed",
            Some(&Unit::Seconds),
            age.metric_type(),
        )?)
    }
}

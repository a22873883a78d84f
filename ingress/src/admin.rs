//! What the admin server answers besides probes and metrics.

mod explain;

use std::{collections::BTreeMap, fmt, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    Json, Router,
    extract::{Path, Query, RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use meshlite_proto::{
    installed::{self, AnswerError, Filter},
    standing::Observer,
};
use meshlite_snapshot::{Cluster, Listener, Name, RouteTable, Snapshot};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
    registry::Unit,
};
use serde::Serialize;
use tokio::sync::watch;

use self::explain::{Explanation, Question};
use crate::{install::Bound, table::Table};

/// What is served, as `/config` shows it. Passwords and keys are not in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Served<'a> {
    listeners: BTreeMap<&'a Name, &'a Arc<Listener>>,
    route_tables: BTreeMap<&'a Name, &'a Arc<RouteTable>>,
    clusters: BTreeMap<&'a Name, &'a Arc<Cluster>>,
    certificates: Vec<&'a Name>,
    credentials: Vec<&'a Name>,
}

/// `/snapshot`: where the subscription stands. `/listeners`: where it is served. And [`table_routes`].
pub(crate) fn routes(
    session: Observer,
    installed: watch::Receiver<Snapshot>,
    bound: watch::Receiver<Bound>,
    table: Arc<ArcSwap<Table>>,
) -> Router {
    table_routes(installed, table)
        .route("/snapshot", get(async move || Json(session.standing())))
        .route(
            "/listeners",
            get(async move || Json(bound.borrow().clone())),
        )
}

/// `/resources/{type}`: what is installed. `/config`: all of it as one. `/explain?url=`: what a request would meet.
pub(crate) fn table_routes(
    installed: watch::Receiver<Snapshot>,
    table: Arc<ArcSwap<Table>>,
) -> Router {
    let explained = installed.clone();
    Router::new()
        .route("/config", get(config))
        .route(
            "/explain",
            get(async move |RawQuery(query): RawQuery| {
                explain(&table.load(), &explained, &query.unwrap_or_default())
            }),
        )
        .route("/resources/{kind}", get(resources))
        .with_state(installed)
}

async fn config(State(installed): State<watch::Receiver<Snapshot>>) -> Response {
    let snapshot = installed.borrow().clone();
    let served = Served {
        listeners: snapshot.listeners.iter().collect(),
        route_tables: snapshot.route_tables.iter().collect(),
        clusters: snapshot.clusters.iter().collect(),
        certificates: snapshot.tls_secrets.keys().collect(),
        credentials: snapshot.credentials.keys().collect(),
    };
    Json(served).into_response()
}

fn explain(table: &Table, installed: &watch::Receiver<Snapshot>, query: &str) -> Response {
    let snapshot = installed.borrow().clone();
    match Question::new(query) {
        Ok(question) => Json(Explanation::new(question, table, &snapshot)).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

async fn resources(
    State(installed): State<watch::Receiver<Snapshot>>,
    Path(kind): Path<String>,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
) -> Response {
    let snapshot = installed.borrow().clone();
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    match installed::answer(&snapshot, &kind, &filter, accept.unwrap_or_default()) {
        Ok((media_type, body)) => ([(header::CONTENT_TYPE, media_type)], body).into_response(),
        Err(error @ AnswerError::UnknownType(_)) => {
            (StatusCode::NOT_FOUND, format!("{error}\n")).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Tells scrapers where the subscription stands.
#[derive(Debug)]
pub(crate) struct Scraped(pub(crate) Observer);

impl Collector for Scraped {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let standing = self.0.standing();
        let status = &standing.status;
        let gauges = [
            (
                "meshlite_ingress_control_plane_connected",
                "Whether a control plane is followed at this time",
                i64::from(status.connected),
            ),
            (
                "meshlite_ingress_rejected_resources",
                "Resources that are not served as the control plane sent them",
                i64::try_from(status.rejections.len()).unwrap_or(i64::MAX),
            ),
            (
                "meshlite_ingress_snapshot_provisional",
                "Whether what is served comes from disk, and no control plane has confirmed it yet",
                i64::from(status.provisional),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let age = ConstGauge::new(standing.age_seconds);
        age.encode(encoder.encode_descriptor(
            "meshlite_ingress_snapshot_age",
            "For how long no control plane has confirmed what is served",
            Some(&Unit::Seconds),
            age.metric_type(),
        )?)
    }
}

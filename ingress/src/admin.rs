//! What the admin server answers besides probes and metrics.

use std::fmt;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use meshlite_proto::{
    installed::{self, AnswerError, Filter},
    standing::Observer,
};
use meshlite_snapshot::Snapshot;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
    registry::Unit,
};
use tokio::sync::watch;

use crate::install::Bound;

/// `/snapshot`: where the subscription stands. `/resources/{type}`: what is installed. `/listeners`: where it is served.
pub(crate) fn routes(
    session: Observer,
    installed: watch::Receiver<Snapshot>,
    bound: watch::Receiver<Bound>,
) -> Router {
    Router::new()
        .route("/resources/{kind}", get(resources))
        .with_state(installed)
        .route("/snapshot", get(async move || Json(session.standing())))
        .route(
            "/listeners",
            get(async move || Json(bound.borrow().clone())),
        )
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

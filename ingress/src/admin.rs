//! What the admin server answers besides probes and metrics.

use std::fmt;

use axum::{Json, Router, routing::get};
use meshlite_proto::subscribe::SessionStatus;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};
use tokio::sync::watch;

use crate::install::Bound;

/// `/snapshot`: what is installed. `/listeners`: where it is served.
pub(crate) fn routes(
    status: watch::Receiver<SessionStatus>,
    bound: watch::Receiver<Bound>,
) -> Router {
    Router::new()
        .route(
            "/snapshot",
            get(async move || Json(status.borrow().clone())),
        )
        .route(
            "/listeners",
            get(async move || Json(bound.borrow().clone())),
        )
}

/// Tells scrapers where the subscription stands.
#[derive(Debug)]
pub(crate) struct Standing(pub(crate) watch::Receiver<SessionStatus>);

impl Collector for Standing {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (connected, rejected) = {
            let status = self.0.borrow();
            (status.connected, status.rejections.len())
        };
        let gauges = [
            (
                "meshlite_ingress_control_plane_connected",
                "Whether a control plane is followed at this time",
                i64::from(connected),
            ),
            (
                "meshlite_ingress_rejected_resources",
                "Resources that are not served as the control plane sent them",
                i64::try_from(rejected).unwrap_or(i64::MAX),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

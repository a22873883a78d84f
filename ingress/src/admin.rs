//! What the admin server answers besides probes and metrics.

use axum::{Json, Router, routing::get};
use meshlite_proto::subscribe::SessionStatus;
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

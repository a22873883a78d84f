//! The admin server's routes: probes and metrics of every plane, and the findings.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use meshlite_runtime::{admin, readiness::Readiness};
use meshlite_snapshot::Finding;
use prometheus_client::registry::Registry;
use serde::Serialize;

use crate::findings::Findings;

/// What `GET /findings` answers.
#[derive(Debug, Serialize)]
struct Answer {
    findings: Vec<Finding>,
}

/// The routes of `meshlite_runtime::admin`, and `/findings`.
pub(crate) fn router(readiness: Readiness, registry: Arc<Registry>, findings: Findings) -> Router {
    let own = Router::new()
        .route("/findings", get(list))
        .with_state(findings);
    admin::router(readiness, registry).merge(own)
}

async fn list(State(findings): State<Findings>) -> Json<Answer> {
    let findings = findings.borrow().to_vec();
    Json(Answer { findings })
}

//! Is this node fit to get traffic: what kube-proxy answers on port 10256.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    clock,
    metrics::{CodeLabel, ProbeMetrics},
};

/// What is known of this node's health. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct HealthState {
    inner: Arc<Mutex<Inner>>,
    /// A change must be programmed within this time.
    limit: Duration,
}

#[derive(Debug)]
struct Inner {
    /// When the oldest change arrived that is not programmed yet.
    queued: Option<Instant>,
    last_applied: Option<String>,
    is_eligible: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Healthz {
    last_updated: String,
    current_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_eligible: Option<bool>,
}

// === impl HealthState ===

impl HealthState {
    /// Healthy while starting up. A change that is not programmed within twice `sync_period` makes it unhealthy.
    pub(crate) fn new(sync_period: Duration) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                queued: None,
                last_applied: None,
                is_eligible: true,
            })),
            limit: sync_period * 2,
        }
    }

    /// A change arrived.
    pub(crate) fn queued(&self, now: Instant) {
        self.lock().queued.get_or_insert(now);
    }

    /// Everything that arrived is programmed.
    pub(crate) fn applied(&self) {
        let mut inner = self.lock();
        inner.queued = None;
        inner.last_applied = Some(clock::rfc3339());
    }

    /// Whether load balancers should use this node.
    pub(crate) fn set_eligible(&self, is_eligible: bool) {
        self.lock().is_eligible = is_eligible;
    }

    /// Whether what arrived was programmed in time.
    pub(crate) fn is_healthy(&self, now: Instant) -> bool {
        let queued = self.lock().queued;
        queued.is_none_or(|since| now.saturating_duration_since(since) <= self.limit)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// While all is good, "last updated" is now: there was nothing left to update.
    fn body(&self, is_good: bool) -> Healthz {
        let current_time = clock::rfc3339();
        let last_applied = self.lock().last_applied.clone();
        Healthz {
            last_updated: if is_good {
                current_time.clone()
            } else {
                last_applied.unwrap_or_default()
            },
            current_time,
            node_eligible: None,
        }
    }
}

/// Answers `/healthz`, for load balancers, and `/livez`, for whom a node that is being taken away is still alive.
pub(crate) fn router(state: HealthState, metrics: ProbeMetrics) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/livez", get(livez))
        .with_state((state, metrics))
}

async fn healthz(State((state, metrics)): State<(HealthState, ProbeMetrics)>) -> Response {
    let (is_healthy, is_eligible) = (state.is_healthy(Instant::now()), state.lock().is_eligible);
    let is_good = is_healthy && is_eligible;
    let code = status(is_good);
    let label = CodeLabel {
        code: code.as_u16(),
    };
    metrics.healthz.get_or_create(&label).inc();
    let body = Healthz {
        node_eligible: Some(is_eligible),
        ..state.body(is_good)
    };
    answer(code, body)
}

async fn livez(State((state, metrics)): State<(HealthState, ProbeMetrics)>) -> Response {
    let is_healthy = state.is_healthy(Instant::now());
    let code = status(is_healthy);
    let label = CodeLabel {
        code: code.as_u16(),
    };
    metrics.livez.get_or_create(&label).inc();
    answer(code, state.body(is_healthy))
}

fn status(is_good: bool) -> StatusCode {
    if is_good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

fn answer(code: StatusCode, body: Healthz) -> Response {
    let headers = [(header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (code, headers, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(30);

    async fn body(response: Response) -> serde_json::Value {
        let body = axum::body::to_bytes(response.into_body(), 4096).await;
        serde_json::from_slice(&body.unwrap()).unwrap()
    }

    fn shared(state: &HealthState) -> State<(HealthState, ProbeMetrics)> {
        State((state.clone(), ProbeMetrics::default()))
    }

    #[test]
    fn a_change_that_is_not_programmed_in_time_makes_the_node_unhealthy() {
        let (state, start) = (HealthState::new(PERIOD), Instant::now());
        assert!(state.is_healthy(start), "starting up");
        state.queued(start);
        state.queued(start + PERIOD);
        assert!(state.is_healthy(start + PERIOD * 2));
        let late = start + PERIOD * 2 + Duration::from_millis(1);
        assert!(!state.is_healthy(late));
        state.applied();
        assert!(state.is_healthy(late));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_is_late_is_answered_with_when_the_table_was_last_programmed() {
        let state = HealthState::new(PERIOD);
        state.applied();
        let applied = state.lock().last_applied.clone().unwrap();
        state.queued(Instant::now());
        tokio::time::advance(PERIOD * 2 + Duration::from_secs(1)).await;
        let metrics = ProbeMetrics::default();
        let shared = || State((state.clone(), metrics.clone()));
        for answer in [healthz(shared()).await, livez(shared()).await] {
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
            assert_eq!(answer.headers()["content-type"], "application/json");
            assert_eq!(body(answer).await["lastUpdated"], *applied);
        }
        state.applied();
        assert_eq!(healthz(shared()).await.status(), StatusCode::OK);
        let asked = |code| metrics.healthz.get_or_create(&CodeLabel { code }).get();
        assert_eq!((asked(200), asked(503)), (1, 1));
    }

    #[tokio::test]
    async fn a_node_that_is_being_taken_away_is_alive_but_not_eligible() {
        let state = HealthState::new(PERIOD);
        let good = healthz(shared(&state)).await;
        assert_eq!(good.status(), StatusCode::OK);
        let said = body(good).await;
        assert_eq!(said["nodeEligible"], true);
        assert_eq!(said["lastUpdated"], said["currentTime"]);
        state.set_eligible(false);
        let leaving = healthz(shared(&state)).await;
        assert_eq!(leaving.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body(leaving).await["nodeEligible"], false);
        let alive = livez(shared(&state)).await;
        assert_eq!(alive.status(), StatusCode::OK);
        assert_eq!(body(alive).await.get("nodeEligible"), None);
    }
}

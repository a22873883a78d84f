//! The admin server: probes for kubelets and operators, metrics for scrapers.

use std::{future::IntoFuture, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    registry::Registry,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{process, readiness::Readiness};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long requests may go on after stop.
const DRAIN: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
struct Shared {
    readiness: Readiness,
    metrics: Arc<Registry>,
    process: Arc<Registry>,
}

/// Answers `/livez`, `/healthz`, `/readyz` and `/ready` (with the pending tasks; `?verbose` for all) and `/metrics`. The caller adds
/// its own routes. Metrics of the process itself are added to those of `metrics`.
pub fn router(readiness: Readiness, metrics: Arc<Registry>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(readyz))
        .route("/ready", get(readyz))
        .route("/metrics", get(scrape))
        .with_state(Shared {
            readiness,
            metrics,
            process: Arc::new(process::registry()),
        })
}

/// Serves `router` until `stop`, then gives open requests two seconds.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let server = axum::serve(listener, router)
        .with_graceful_shutdown(stop.clone().cancelled_owned())
        .into_future();
    tokio::select! {
        result = server => result,
        () = async { stop.cancelled().await; tokio::time::sleep(DRAIN).await } => Ok(()),
    }
}

async fn readyz(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let tasks = shared.readiness.tasks();
    let pending: Vec<_> = tasks
        .iter()
        .filter(|(_, ready)| !ready)
        .map(|(name, _)| *name)
        .collect();
    let status = if pending.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let is_verbose = query.is_some_and(|query| {
        query
            .split('&')
            .any(|pair| pair == "verbose" || pair.starts_with("verbose="))
    });
    let body = match (is_verbose, pending.is_empty()) {
        (false, true) => "ok".to_owned(),
        (false, false) => format!("not ready: waiting for {}\n", pending.join(", ")),
        (true, is_ready) => {
            let line = |(name, ready): &(&str, bool)| {
                if *ready {
                    format!("[+]{name} ok\n")
                } else {
                    format!("[-]{name} pending\n")
                }
            };
            let lines: String = tasks.iter().map(line).collect();
            format!(
                "{lines}readyz check {}\n",
                if is_ready { "passed" } else { "failed" }
            )
        }
    };
    (status, body).into_response()
}

async fn scrape(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let mut text = String::new();
    let encoded = encode_registry(&mut text, &shared.process)
        .and_then(|()| encode_registry(&mut text, &shared.metrics))
        .and_then(|()| encode_eof(&mut text));
    if let Err(error) = encoded {
        warn!(%error, "metrics could not be encoded");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    ([(header::CONTENT_TYPE, metrics_type(&headers))], text).into_response()
}

/// `OpenMetrics`, except for a scraper that asks for the older format only: our text is good in both.
fn metrics_type(headers: &HeaderMap) -> &'static str {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("*/*");
    if accept.contains("text/plain") && !accept.contains("application/openmetrics-text") {
        PLAIN_METRICS
    } else {
        OPEN_METRICS
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt;
    use prometheus_client::metrics::counter::Counter;
    use tower::ServiceExt;

    use super::*;

    async fn ask(router: &Router, path: &str, accept: &str) -> (StatusCode, String, String) {
        let request = Request::get(path)
            .header(header::ACCEPT, accept)
            .body(Body::empty())
            .unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let kind = parts.headers[header::CONTENT_TYPE]
            .to_str()
            .unwrap()
            .to_owned();
        let body = body.collect().await.unwrap().to_bytes();
        (
            parts.status,
            kind,
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    fn mk_router(readiness: &Readiness) -> Router {
        let mut registry = Registry::default();
        let commits = Counter::<u64>::default();
        registry.register("meshlite_commits", "Commits installed", commits.clone());
        commits.inc_by(3);
        router(readiness.clone(), Arc::new(registry))
    }

    #[tokio::test]
    async fn readyz_names_the_pending_tasks_until_they_are_ready() {
        let readiness = Readiness::default();
        let router = mk_router(&readiness);
        let (snapshot, listeners) = (readiness.task("snapshot"), readiness.task("listeners"));
        let (status, _, body) = ask(&router, "/readyz", "*/*").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, "not ready: waiting for listeners, snapshot\n");
        drop(listeners);
        let (_, _, body) = ask(&router, "/readyz?verbose", "*/*").await;
        assert_eq!(
            body,
            "[+]listeners ok\n[-]snapshot pending\nreadyz check failed\n"
        );
        drop(snapshot);
        let (status, _, body) = ask(&router, "/readyz", "*/*").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "ok"));
    }

    #[tokio::test]
    async fn livez_does_not_wait_for_readiness() {
        let readiness = Readiness::default();
        let router = mk_router(&readiness);
        let _pending = readiness.task("snapshot");
        assert_eq!(ask(&router, "/livez", "*/*").await.0, StatusCode::OK);
        assert_eq!(ask(&router, "/healthz", "*/*").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn metrics_hold_those_of_the_caller_and_of_the_process() {
        let router = mk_router(&Readiness::default());
        let (status, kind, body) = ask(&router, "/metrics", "*/*").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(kind, OPEN_METRICS);
        for name in [
            "meshlite_commits_total 3",
            "meshlite_build_info{version=\"",
            "process_start_time_seconds 1",
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
        ] {
            assert!(body.contains(&format!("\n{name}")), "no {name} in\n{body}");
        }
        assert!(body.ends_with("# EOF\n"));
        assert_eq!(body.matches("# EOF").count(), 1);
    }

    #[tokio::test]
    async fn a_scraper_of_the_older_format_gets_its_content_type() {
        let router = mk_router(&Readiness::default());
        let (_, kind, _) = ask(
            &router,
            "/metrics",
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        )
        .await;
        assert_eq!(kind, PLAIN_METRICS);
        let modern = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        assert_eq!(ask(&router, "/metrics", modern).await.1, OPEN_METRICS);
    }

    #[tokio::test]
    async fn serving_ends_on_stop_even_with_a_client_that_says_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(
            listener,
            mk_router(&Readiness::default()),
            stop.clone(),
        ));
        let _silent = tokio::net::TcpStream::connect(addr).await.unwrap();
        stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), server).await;
        ended.expect("serve returns").unwrap().unwrap();
    }
}

//! The admin server: probes for kubelets and operators, metrics for scrapers.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    registry::Registry,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use crate::{process, readiness::Readiness};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long requests may go on after stop.
const DRAIN: Duration = Duration::from_secs(2);
/// How long requests that may be on their way are waited for after stop.
const ON_THE_WAY: Duration = Duration::from_secs(1);
/// How long accepting rests when the process has no file descriptor left.
const REST: Duration = Duration::from_millis(100);

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

/// Serves `router` until `stop`, then gives open requests two seconds, and those that may be on their way one.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(serve_connection(stream, router.clone(), stop.clone()));
            }
            Err(error) => {
                warn!(%error, "the admin server cannot accept a connection");
                sleep(REST).await;
            }
        }
    }
    drop(listener);
    connections.close();
    // Those that are left are cut off.
    timeout(DRAIN, connections.wait()).await.unwrap_or_default();
}

async fn serve_connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    let builder = Builder::new(TokioExecutor::new());
    let service = TowerToHyperService::new(router);
    let mut http = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let over = async {
        stop.cancelled().await;
        // A connection that is closed with an unread request in it is reset.
        sleep(ON_THE_WAY).await;
    };
    let ended = tokio::select! {
        ended = http.as_mut() => ended,
        () = over => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = ended {
        debug!(error, "an admin connection failed");
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
    use std::net::SocketAddr;

    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt;
    use prometheus_client::metrics::counter::Counter;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        task::JoinHandle,
    };
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
        let (address, stop, server) = mk_server().await;
        let _silent = TcpStream::connect(address).await.unwrap();
        stop.cancel();
        ended(server).await;
    }

    #[tokio::test]
    async fn a_request_that_is_on_its_way_at_the_stop_is_answered() {
        let (address, stop, server) = mk_server().await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        // Its connection is open on the server's side too.
        idle.write_all(GET).await.unwrap();
        idle.read_u8().await.unwrap();
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(b"G").await.unwrap();
        stop.cancel();
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        for (stream, rest) in [(&mut idle, GET), (&mut first, &GET[1..])] {
            stream.write_all(rest).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
        }
        ended(server).await;
    }

    const GET: &[u8] = b"GET /livez HTTP/1.1\r\nhost: h\r\n\r\n";

    async fn mk_server() -> (SocketAddr, CancellationToken, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = mk_router(&Readiness::default());
        let server = tokio::spawn(serve(listener, router, stop.clone()));
        (address, stop, server)
    }

    async fn ended(server: JoinHandle<()>) {
        let ended = timeout(Duration::from_mins(1), server).await;
        ended.expect("serve returns").unwrap();
    }
}

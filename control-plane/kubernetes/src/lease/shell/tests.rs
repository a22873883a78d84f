//! Candidates against an API server of a few lines, which keeps one Lease and refuses what comes too late.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{super::RENEW_DEADLINE, *};

#[derive(Clone, Debug, Default)]
struct Server {
    lease: Arc<Mutex<Option<Value>>>,
    is_down: Arc<Mutex<bool>>,
}

impl Server {
    fn client(&self) -> Client {
        let server = self.clone();
        let answer = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let (status, answer) = server.answer(&head.method, &body);
                let answer = Body::from(answer.to_string().into_bytes());
                let response = Response::builder().status(status).body(answer);
                Ok::<_, Infallible>(response.unwrap())
            }
        });
        Client::new(answer, "default")
    }

    fn answer(&self, method: &Method, body: &[u8]) -> (StatusCode, Value) {
        if *self.is_down.lock().unwrap() {
            return refused(StatusCode::INTERNAL_SERVER_ERROR);
        }
        let mut lease = self.lease.lock().unwrap();
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
        if method == Method::GET {
            return match &*lease {
                Some(lease) => (StatusCode::OK, lease.clone()),
                None => refused(StatusCode::NOT_FOUND),
            };
        }
        let mut wanted: Value = serde_json::from_slice(body).unwrap();
        let current = lease.as_ref().map_or(Value::Null, version);
        if version(&wanted) != current {
            return refused(StatusCode::CONFLICT);
        }
        let next = current
            .as_str()
            .map_or(1, |v| v.parse::<u64>().unwrap() + 1);
        wanted["metadata"]["resourceVersion"] = json!(next.to_string());
        *lease = Some(wanted.clone());
        (StatusCode::OK, wanted)
    }

    fn transitions(&self) -> i64 {
        let lease = self.lease.lock().unwrap();
        lease.as_ref().unwrap()["spec"]["leaseTransitions"]
            .as_i64()
            .unwrap()
    }

    fn stand(&self, replica: &str) -> Standing {
        let (candidate, leadership) =
            Candidate::new(self.client(), "meshlite", "leader", replica, "1");
        let stop = CancellationToken::new();
        let running = tokio::spawn(candidate.run(stop.clone()));
        Standing {
            leadership,
            stop,
            running,
        }
    }
}

struct Standing {
    leadership: Leadership,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Standing {
    fn leads(&self) -> bool {
        self.leadership.holds()
    }
}

fn refused(status: StatusCode) -> (StatusCode, Value) {
    let reason = status.canonical_reason().unwrap().replace(' ', "");
    let body =
        json!({"kind": "Status", "status": "Failure", "reason": reason, "code": status.as_u16()});
    (status, body)
}

/// Lets (paused) time pass until it is so, and says how long it took.
async fn passes(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_mins(2), "never: {what}");
        sleep(Duration::from_millis(100)).await;
    }
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_a_leader_that_stops_is_followed_at_once() {
    let server = Server::default();
    let first = server.stand("first");
    passes("the first leads", || first.leads()).await;
    let second = server.stand("second");
    passes("the second sees who leads", || {
        second.leadership.holder().as_deref() == Some("first")
    })
    .await;
    sleep(Duration::from_mins(1)).await;
    assert!(first.leads() && !second.leads());
    assert_eq!(server.transitions(), 0);

    first.stop.cancel();
    first.running.await.unwrap();
    assert!(!first.leadership.holds());
    let took = passes("the second leads", || second.leads()).await;
    assert!(took < Duration::from_secs(5), "it waited {took:?}");
    assert_eq!(server.transitions(), 1);
    second.stop.cancel();
    second.running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_killed_is_followed_when_its_lease_ends() {
    let server = Server::default();
    let first = server.stand("first");
    passes("the first leads", || first.leads()).await;
    let second = server.stand("second");
    passes("the second stands", || second.leadership.holder().is_some()).await;
    first.running.abort();
    let took = passes("the second leads", || second.leads()).await;
    assert!(
        took + RETRY > LEASE && took <= LEASE + RETRY * 3 / 2,
        "it took {took:?}"
    );
    assert!(!first.leads());
    second.stop.cancel();
    second.running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_an_api_server_stops_leading_and_leads_again_when_it_is_back() {
    let server = Server::default();
    let only = server.stand("only");
    passes("it leads", || only.leads()).await;
    *server.is_down.lock().unwrap() = true;
    let took = passes("it stops leading", || !only.leads()).await;
    assert!(took <= RENEW_DEADLINE + RETRY, "it took {took:?}");
    *server.is_down.lock().unwrap() = false;
    passes("it leads again", || only.leads()).await;
    assert_eq!(server.transitions(), 0);
    only.stop.cancel();
    only.running.await.unwrap();
}

//! `healthCheckNodePort`: external load balancers ask each node whether it has endpoints of a Service.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use arc_swap::ArcSwap;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use meshlite_runtime::{
    admin,
    listen::{self, ListenError},
};
use meshlite_snapshot::{AddressFamily, Finding, ObjectRef, Severity};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{desired::HealthCheck, facts::Facts, health::HealthState};

/// The servers, one for each port and address.
#[derive(Debug)]
pub(crate) struct HealthChecks {
    servers: BTreeMap<(u16, Option<IpAddr>), JoinHandle<()>>,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Shared {
    checks: ArcSwap<BTreeMap<u16, HealthCheck>>,
    health: HealthState,
}

// === impl HealthChecks ===

impl HealthChecks {
    pub(crate) fn new(health: HealthState, stop: CancellationToken) -> Self {
        Self {
            servers: BTreeMap::new(),
            shared: Arc::new(Shared {
                checks: ArcSwap::default(),
                health,
            }),
            stop,
        }
    }

    /// Answers for these Services from now on. What cannot be bound is a finding, and is tried again at the next call.
    pub(crate) async fn serve(
        &mut self,
        wanted: &BTreeMap<u16, HealthCheck>,
        facts: &Facts,
    ) -> Vec<Finding> {
        self.shared.checks.store(Arc::new(wanted.clone()));
        let addresses = addresses(facts);
        let places: BTreeSet<_> = wanted
            .keys()
            .flat_map(|port| addresses.iter().map(|address| (*port, *address)))
            .collect();
        let unwanted = self
            .servers
            .extract_if(.., |place, server| {
                !places.contains(place) || server.is_finished()
            })
            .collect::<Vec<_>>();
        for (_, server) in unwanted {
            // Its port is free at once. Who is slow to ask must not keep traffic from being programmed.
            server.abort();
            drop(server.await);
        }
        let mut findings = Vec::new();
        for place in places {
            if self.servers.contains_key(&place) {
                continue;
            }
            match bind(place).await {
                Ok(listener) => {
                    let server = self.start(place.0, listener);
                    self.servers.insert(place, server);
                }
                Err(error) => {
                    if let Some(check) = wanted.get(&place.0) {
                        findings.push(not_bound(check, &error));
                    }
                }
            }
        }
        findings
    }

    fn start(&self, port: u16, listener: TcpListener) -> JoinHandle<()> {
        let router = Router::new()
            .fallback(any(answer))
            .with_state((port, Arc::clone(&self.shared)));
        tokio::spawn(admin::serve(listener, router, self.stop.clone()))
    }
}

/// None stands for every address.
fn addresses(facts: &Facts) -> Vec<Option<IpAddr>> {
    if facts.node_port_ranges.is_empty() {
        return vec![None];
    }
    [AddressFamily::Ipv4, AddressFamily::Ipv6]
        .into_iter()
        .flat_map(|family| facts.node_port_addresses(family, false))
        .map(|address| Some(address.ip()))
        .collect()
}

async fn bind((port, address): (u16, Option<IpAddr>)) -> Result<TcpListener, ListenError> {
    const WHAT: &str = "healthCheckNodePort";
    if let Some(address) = address {
        return listen::tcp(SocketAddr::new(address, port), WHAT).await;
    }
    // An IPv6 socket serves both families; a host may have but IPv4.
    match listen::tcp((Ipv6Addr::UNSPECIFIED, port).into(), WHAT).await {
        Ok(listener) => Ok(listener),
        Err(_) => listen::tcp((Ipv4Addr::UNSPECIFIED, port).into(), WHAT).await,
    }
}

fn not_bound(check: &HealthCheck, error: &ListenError) -> Finding {
    Finding {
        severity: Severity::Error,
        object: ObjectRef::new("Service", &*check.namespace, &*check.name),
        field: "spec.healthCheckNodePort".into(),
        reason: "NotProgrammed".into(),
        message: error.to_string(),
        source: None,
    }
}

async fn answer(State((port, shared)): State<(u16, Arc<Shared>)>) -> Response {
    let checks = shared.checks.load();
    let Some(check) = checks.get(&port) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let is_healthy = shared.health.is_healthy(Instant::now());
    let code = if is_healthy && check.local_endpoints > 0 {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let headers = [
        (
            header::X_CONTENT_TYPE_OPTIONS.as_str(),
            "nosniff".to_owned(),
        ),
        (
            "x-load-balancing-endpoint-weight",
            check.local_endpoints.to_string(),
        ),
    ];
    let body = json!({
        "service": { "namespace": check.namespace, "name": check.name },
        "localEndpoints": check.local_endpoints,
        "serviceProxyHealthy": is_healthy,
    });
    (code, headers, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use meshlite_snapshot::Protocol;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;
    use crate::testing::free_place;

    fn shared(local_endpoints: usize, health: HealthState) -> State<(u16, Arc<Shared>)> {
        let check = HealthCheck {
            namespace: "default".into(),
            name: "web".into(),
            local_endpoints,
        };
        let checks = ArcSwap::from_pointee(BTreeMap::from([(30000, check)]));
        State((30000, Arc::new(Shared { checks, health })))
    }

    async fn asked(state: State<(u16, Arc<Shared>)>) -> (u16, String, String) {
        let response = answer(state).await;
        let code = response.status().as_u16();
        let headers = response.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["content-type"], "application/json");
        let weight = headers["x-load-balancing-endpoint-weight"].to_str();
        let weight = weight.unwrap().to_owned();
        let body = axum::body::to_bytes(response.into_body(), 4096).await;
        (
            code,
            weight,
            String::from_utf8(body.unwrap().to_vec()).unwrap(),
        )
    }

    #[tokio::test]
    async fn a_node_with_ready_endpoints_is_weighed_by_them() {
        let health = HealthState::new(Duration::from_secs(30));
        let body = r#"{"localEndpoints":2,"service":{"name":"web","namespace":"default"},"serviceProxyHealthy":true}"#;
        let expected = (200, "2".to_owned(), body.to_owned());
        assert_eq!(asked(shared(2, health)).await, expected);
    }

    #[tokio::test]
    async fn a_node_without_ready_endpoints_gets_no_traffic() {
        let health = HealthState::new(Duration::from_secs(30));
        let (code, weight, _) = asked(shared(0, health)).await;
        assert_eq!((code, &*weight), (503, "0"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_late_gets_no_traffic() {
        let health = HealthState::new(Duration::from_secs(30));
        health.queued(Instant::now());
        tokio::time::advance(Duration::from_secs(61)).await;
        let (code, weight, body) = asked(shared(2, health)).await;
        assert_eq!((code, &*weight), (503, "2"));
        assert!(body.contains(r#""serviceProxyHealthy":false"#), "{body}");
    }

    #[tokio::test]
    async fn a_client_that_is_slow_to_ask_delays_nothing() {
        let frontend = free_place([127, 0, 0, 1], Protocol::Tcp).frontend;
        let (port, addr) = (frontend.port, frontend.socket_address());
        let facts = Facts {
            node_port_ranges: vec![addr.ip().into()],
            ..Facts::default()
        };
        let check = HealthCheck {
            namespace: "default".into(),
            name: "web".into(),
            local_endpoints: 1,
        };
        let wanted = BTreeMap::from([(port, check)]);
        let health = HealthState::new(Duration::from_secs(30));
        let mut servers = HealthChecks::new(health, CancellationToken::new());
        assert_eq!(servers.serve(&wanted, &facts).await, []);
        let mut slow = TcpStream::connect(addr).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
        // An answer to a later client shows that the slow one was heard.
        let mut quick = TcpStream::connect(addr).await.unwrap();
        quick.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        quick.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("200 OK"), "{answer}");
        let start = Instant::now();
        servers.serve(&BTreeMap::new(), &facts).await;
        assert_eq!(servers.serve(&wanted, &facts).await, [], "the port is free");
        let took = start.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

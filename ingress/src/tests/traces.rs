//! Spans of requests arrive at an OpenTelemetry collector, and a collector that does not answer is nobody's trouble.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost::Message as _;

use super::{
    mesh::{Mesh, eventually},
    origin::{Answer, Client, Origin, request},
};
use crate::{
    Sampler, Tracing,
    trace::otlp::{Export, Span, Value},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// A collector, and what it was sent.
async fn collector() -> (Origin, Arc<Mutex<Vec<Export>>>) {
    let exports = Arc::<Mutex<Vec<Export>>>::default();
    let taken = Arc::clone(&exports);
    let origin = Origin::answering(move |request| {
        let taken = Arc::clone(&taken);
        async move {
            let sent = request.into_body().collect().await.unwrap().to_bytes();
            taken
                .lock()
                .unwrap()
                .push(Export::decode(&sent[5..]).unwrap());
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            let frames = [Frame::data(vec![0; 5].into()), Frame::trailers(trailers)];
            let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok)));
            let mut response = Response::new(BodyExt::boxed(body));
            let media_type = "application/grpc".parse().unwrap();
            response.headers_mut().insert("content-type", media_type);
            response
        }
    })
    .await;
    (origin, exports)
}

async fn traced(collector: SocketAddr, sampler: &str) -> Mesh {
    Mesh::with(|config| {
        config.tracing = Some(Tracing {
            endpoint: format!("http://{collector}"),
            service: "edge".into(),
            sampler: Sampler::named(sampler, 1.0).unwrap(),
        });
    })
    .await
}

/// The spans that have come, of this many requests, once they have.
async fn spans(exports: &Mutex<Vec<Export>>, count: usize) -> Vec<Span> {
    eventually("the spans come", async || {
        let exports = exports.lock().unwrap().clone();
        let scopes = exports.iter().flat_map(|export| &export.resource_spans);
        let scopes = scopes.flat_map(|resource| &resource.scope_spans);
        let spans: Vec<_> = scopes.flat_map(|scope| scope.spans.clone()).collect();
        if spans.len() >= count {
            Ok(spans)
        } else {
            Err(format!("{spans:?}"))
        }
    })
    .await
}

fn says(span: &Span, key: &str) -> String {
    let attribute = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == key);
    let value = attribute.and_then(|attribute| attribute.value.clone()?.value);
    match value {
        Some(Value::Text(text)) => text,
        Some(Value::Number(number)) => number.to_string(),
        None => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

async fn ask(mesh: &Mesh, parent: Option<&str>) -> Answer {
    let mut request = request("GET", "shop.example:81", "/cart?item=1");
    if let Some(parent) = parent {
        request
            .headers_mut()
            .insert("traceparent", parent.parse().unwrap());
    }
    let mut client = Client::connect(mesh.http()).await;
    Answer::read(client.send(request).await.unwrap()).await
}

#[tokio::test]
async fn a_request_is_a_servers_span_below_the_clients_and_a_clients_span_above_the_endpoints() {
    let (collector, exports) = collector().await;
    let mut mesh = traced(collector.address, "parentbased_always_off").await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    assert_eq!(
        ask(&mesh, Some(&format!("00-{TRACE}-{PARENT}-01")))
            .await
            .status,
        200
    );
    let spans = spans(&exports, 2).await;
    let [server, client] = [SERVER, CLIENT].map(|kind| {
        let of_kind = spans.iter().filter(|span| span.kind == kind);
        let [span] = of_kind.collect::<Vec<_>>()[..] else {
            panic!("{spans:?}");
        };
        span
    });
    for span in [server, client] {
        assert_eq!(hex(&span.trace_id), TRACE);
        assert_eq!(span.name, "GET");
        assert_eq!(says(span, "http.request.method"), "GET");
        assert_eq!(says(span, "http.response.status_code"), "200");
        assert!(span.start <= span.end, "{span:?}");
        assert_eq!(span.status, None);
    }
    assert_eq!(hex(&server.parent_span_id), PARENT);
    assert_eq!(client.parent_span_id, server.span_id);
    let told = origin.last().headers()["traceparent"].clone();
    assert_eq!(
        told,
        format!("00-{TRACE}-{}-01", hex(&client.span_id)).as_str()
    );
    for (key, value) in [
        ("url.path", "/cart"),
        ("url.query", "item=1"),
        ("url.scheme", "http"),
        ("server.address", "shop.example"),
        ("server.port", "81"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
    ] {
        assert_eq!(says(server, key), value, "{key}");
    }
    assert_eq!(says(client, "server.address"), "127.0.0.1");
    assert_eq!(
        says(client, "server.port"),
        origin.address.port().to_string()
    );
    let exports = exports.lock().unwrap();
    let resource = exports[0].resource_spans[0].resource.clone().unwrap();
    assert_eq!(resource.attributes[0].key, "service.name");
}

#[tokio::test]
async fn what_the_client_does_not_trace_passes_as_it_is_and_is_not_exported() {
    let (collector, exports) = collector().await;
    let mut mesh = traced(collector.address, "parentbased_always_on").await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    assert_eq!(ask(&mesh, Some(&unsampled)).await.status, 200);
    assert_eq!(origin.last().headers()["traceparent"], unsampled.as_str());
    // A trace that begins here is told to the endpoint, and is the only one that is exported.
    assert_eq!(ask(&mesh, None).await.status, 200);
    let spans = spans(&exports, 2).await;
    assert_eq!(spans.len(), 2);
    assert!(spans.iter().all(|span| hex(&span.trace_id) != TRACE));
    let told = origin.last().headers()["traceparent"].clone();
    assert!(
        told.to_str().unwrap().contains(&hex(&spans[0].trace_id)),
        "{told:?}"
    );
}

#[tokio::test]
async fn an_answer_of_the_ingress_itself_is_an_error_with_its_reason() {
    let (collector, exports) = collector().await;
    let mut mesh = traced(collector.address, "always_on").await;
    mesh.serve(&[]).await;
    assert_eq!(ask(&mesh, None).await.status, 503);
    let spans = spans(&exports, 1).await;
    let [server] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(says(server, "error.type"), "no_endpoints");
    assert!(server.status.is_some());
}

#[tokio::test]
async fn spans_that_no_collector_takes_are_counted_and_requests_do_not_wait() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let mut mesh = traced(address, "always_on").await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    for _ in 0..3 {
        assert_eq!(ask(&mesh, None).await.status, 200);
    }
    let dropped = mesh.parts.shared.metrics.spans_dropped.clone();
    eventually("they are counted", async || match dropped.get() {
        3 => Ok(()),
        other => Err(format!("{other} were dropped")),
    })
    .await;
}

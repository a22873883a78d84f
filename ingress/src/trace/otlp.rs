//! OTLP's messages, as far as an ingress sends them, and how a request becomes two spans. Source: OpenTelemetry's protocol 1.x
//! (`opentelemetry/proto/trace/v1`) and its semantic conventions for HTTP.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Version;

use super::Traced;

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const ERROR: i32 = 2;
/// The spans are sampled.
const SAMPLED: u32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Export {
    #[prost(message, repeated, tag = "1")]
    pub(crate) resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Exported {
    #[prost(message, optional, tag = "1")]
    pub(crate) partial: Option<Partial>,
}

/// What the collector did not take.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Partial {
    #[prost(int64, tag = "1")]
    pub(crate) rejected: i64,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    pub(crate) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub(crate) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    pub(crate) scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) spans: Vec<Span>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Scope {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) version: String,
}

#[derive(Clone, PartialEq, prost::Message)]
#[expect(clippy::struct_field_names, reason = "the names of the protocol")]
pub(crate) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    pub(crate) trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(crate) name: String,
    #[prost(int32, tag = "6")]
    pub(crate) kind: i32,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "7")]
    pub(crate) start: u64,
    #[prost(fixed64, tag = "8")]
    pub(crate) end: u64,
    #[prost(message, repeated, tag = "9")]
    pub(crate) attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    pub(crate) status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    pub(crate) flags: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "3")]
    pub(crate) code: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 3")]
    pub(crate) value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Number(i64),
}

/// Attributes that are made one by one.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn text(&mut self, key: &str, value: impl Into<String>) {
        self.add(key, Value::Text(value.into()));
    }

    fn number(&mut self, key: &str, value: impl Into<i64>) {
        self.add(key, Value::Number(value.into()));
    }

    fn add(&mut self, key: &str, value: Value) {
        let value = AnyValue { value: Some(value) };
        self.0.push(KeyValue {
            key: key.to_owned(),
            value: Some(value),
        });
    }
}

/// All spans of these requests.
pub(super) fn export(service: &str, requests: &[Box<Traced>]) -> Export {
    let mut resource = Attributes::default();
    resource.text("service.name", service);
    let spans = requests.iter();
    let spans = spans.flat_map(|request| [Some(server(request)), client(request)]);
    Export {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: resource.0,
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(Scope {
                    name: env!("CARGO_PKG_NAME").to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                }),
                spans: spans.flatten().collect(),
            }],
        }],
    }
}

fn server(request: &Traced) -> Span {
    let mut attributes = Attributes::default();
    attributes.text("http.request.method", request.method.as_str());
    attributes.text("url.path", request.path.as_str());
    attributes.text("url.scheme", if request.is_tls { "https" } else { "http" });
    if let Some(query) = &request.query {
        attributes.text("url.query", query.as_str());
    }
    if let Some(host) = &request.host {
        let authority: Option<http::uri::Authority> = host.parse().ok();
        let name = authority.as_ref().map_or(host.as_str(), |host| host.host());
        attributes.text("server.address", name);
        if let Some(port) = authority.as_ref().and_then(http::uri::Authority::port_u16) {
            attributes.number("server.port", port);
        }
    }
    if let Some(agent) = &request.user_agent {
        attributes.text("user_agent.original", agent.as_str());
    }
    attributes.text("client.address", request.peer.to_string());
    let version = match request.version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    };
    attributes.text("network.protocol.version", version);
    attributes.number("http.response.status_code", request.status.as_u16());
    // What the client did wrong is no error of a server's span.
    let is_error = request.status.is_server_error();
    if is_error {
        let reason = request.reason.unwrap_or(request.status.as_str());
        attributes.text("error.type", reason);
    }
    Span {
        parent_span_id: request.parent.map(Vec::from).unwrap_or_default(),
        kind: SERVER,
        end: nanos(request.began, request.took),
        ..span(request, request.server, attributes, is_error)
    }
}

/// None where nothing was sent.
fn client(request: &Traced) -> Option<Span> {
    let endpoint = request.endpoint?;
    let mut attributes = Attributes::default();
    attributes.text("http.request.method", request.method.as_str());
    attributes.text("server.address", endpoint.ip().to_string());
    attributes.number("server.port", endpoint.port());
    let resent = i64::try_from(request.tries)
        .unwrap_or(i64::MAX)
        .saturating_sub(1);
    if resent > 0 {
        attributes.number("http.request.resend_count", resent);
    }
    let is_error =
        request.answered.is_none() || !request.status.is_success() && is_failure(request);
    if request.answered.is_some() && request.reason.is_none() {
        attributes.number("http.response.status_code", request.status.as_u16());
    }
    if is_error {
        let reason = request.reason.unwrap_or(request.status.as_str());
        attributes.text("error.type", reason);
    }
    Some(Span {
        parent_span_id: request.server.to_vec(),
        kind: CLIENT,
        end: nanos(request.began, request.answered.unwrap_or(request.took)),
        ..span(request, request.client, attributes, is_error)
    })
}

/// For a client, what it did wrong is an error too.
fn is_failure(request: &Traced) -> bool {
    request.status.is_client_error() || request.status.is_server_error()
}

fn span(request: &Traced, id: [u8; 8], attributes: Attributes, is_error: bool) -> Span {
    Span {
        trace_id: request.trace.to_vec(),
        span_id: id.to_vec(),
        trace_state: request.state.clone(),
        name: request.method.to_string(),
        start: nanos(request.began, Duration::ZERO),
        attributes: attributes.0,
        status: is_error.then_some(Status { code: ERROR }),
        flags: SAMPLED,
        ..Span::default()
    }
}

/// Nanoseconds since 1970, so long after a time.
fn nanos(began: SystemTime, after: Duration) -> u64 {
    let since = began.duration_since(UNIX_EPOCH).unwrap_or_default() + after;
    since.as_nanos().try_into().unwrap_or(u64::MAX)
}

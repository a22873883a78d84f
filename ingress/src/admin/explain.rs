//! What a request would meet, and why: the same sanitiser, table and order as for a real one, without sending anything.

mod policy;

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderName, HeaderValue, Method, Request, Uri, request::Parts};
use meshlite_snapshot::{Cluster, ListenerProtocol, Name, Policy, Route, RouteTable, Snapshot};
use serde::Serialize;

use crate::{
    sanitise::{self, Malformed, Names, sanitise},
    table::{ListenerTable, Table},
};

/// What is asked.
#[derive(Debug)]
pub(super) struct Question {
    parts: Parts,
    is_tls: bool,
    port: u16,
    client: IpAddr,
}

/// What a request would meet.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explanation {
    /// In the order in which they would happen.
    steps: Vec<Step>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<Route>,
    backends: Vec<Backend>,
}

/// One decision.
#[derive(Debug, Serialize)]
struct Step {
    phase: &'static str,
    says: String,
}

/// Where the request may go.
#[derive(Debug, Serialize)]
struct Backend {
    cluster: Name,
    /// Of the sum of all weights.
    weight: u32,
    endpoints: Vec<String>,
}

// === impl Question ===

impl Question {
    /// The question in a query: `url`, and where they matter `method`, `client` and any number of `header=name: value`.
    /// The error is for people.
    pub(super) fn new(query: &str) -> Result<Self, String> {
        let url = sanitise::query_value(query, "url").ok_or("`url` is missing")?;
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("{url:?} is not a URL: {error}"))?;
        let (is_tls, well_known) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            Some(_) | None => return Err(format!("{url:?} is not http:// or https://")),
        };
        let authority = uri
            .authority()
            .ok_or_else(|| format!("{url:?} has no host"))?;
        let method = sanitise::query_value(query, "method").unwrap_or_else(|| "GET".into());
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_invalid| format!("{method:?} is not a method"))?;
        let client = sanitise::query_value(query, "client");
        let client = client.map(|text| {
            let parsed = text.parse::<IpAddr>();
            parsed.map_err(|_invalid| format!("{text:?} is not an IP address"))
        });
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(http::header::HOST, authority.as_str());
        for header in sanitise::query_values(query, "header") {
            let parsed = header.split_once(':').and_then(|(name, value)| {
                let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
                Some((name, HeaderValue::from_str(value.trim()).ok()?))
            });
            let (name, value) = parsed.ok_or_else(|| format!("{header:?} is not `name: value`"))?;
            request = request.header(name, value);
        }
        let request = request.body(()).map_err(|error| error.to_string())?;
        Ok(Self {
            parts: request.into_parts().0,
            is_tls,
            port: authority.port_u16().unwrap_or(well_known),
            client: client.transpose()?.unwrap_or(Ipv4Addr::LOCALHOST.into()),
        })
    }
}

// === impl Explanation ===

impl Explanation {
    pub(super) fn new(mut question: Question, table: &Table, snapshot: &Snapshot) -> Self {
        let mut explained = Self::default();
        let Some((name, listener)) = explained.listener(&question, table, snapshot) else {
            return explained;
        };
        explained.listener = Some(name.clone());
        let asked = question.parts.uri.clone();
        let local = (Ipv4Addr::LOCALHOST, question.port).into();
        let names = Names::of(&question.parts.headers);
        if let Err(malformed) = sanitise(&mut question.parts, names, local) {
            let status = malformed.status().as_u16();
            explained.say("sanitise", format!("refused with {status}: {malformed}"));
            return explained;
        }
        if question.parts.uri != asked {
            let says = format!(
                "the path is read and forwarded as {}",
                question.parts.uri.path()
            );
            explained.say("sanitise", says);
        }
        explained.route(&question, listener, snapshot);
        explained
    }

    fn say(&mut self, phase: &'static str, says: String) {
        self.steps.push(Step { phase, says });
    }

    /// The listener of the URL's scheme; that of its port, where there are several.
    fn listener<'a>(
        &mut self,
        question: &Question,
        table: &'a Table,
        snapshot: &'a Snapshot,
    ) -> Option<(&'a Name, &'a ListenerTable)> {
        let protocol = if question.is_tls {
            ListenerProtocol::Https
        } else {
            ListenerProtocol::Http
        };
        let speaking = || {
            snapshot
                .listeners
                .iter()
                .filter(|(_, of)| of.protocol == protocol)
        };
        let of_port = speaking().find(|(_, listener)| {
            listener.port == question.port || listener.proxy_port == question.port
        });
        let Some((name, listener)) = of_port.or_else(|| speaking().next()) else {
            let scheme = if question.is_tls { "https" } else { "http" };
            self.say("listen", format!("there is no listener for {scheme}"));
            return None;
        };
        let found = table.listener_named(name);
        let says = match found {
            Some(_) => format!("{name}, port {}", listener.port),
            None => format!("{name} is not served"),
        };
        self.say("listen", says);
        Some((name, found?))
    }

    fn route(&mut self, question: &Question, listener: &ListenerTable, snapshot: &Snapshot) {
        let host = question.parts.headers.get(http::header::HOST);
        let host = host.map(sanitise::name_of).unwrap_or_default();
        let mut passed_over = Vec::new();
        let found = listener.explain(&host, &question.parts, |route| {
            passed_over.push(line(route));
        });
        for route in passed_over {
            let says = format!("not {route}: its method, headers or parameters do not match");
            self.say("route", says);
        }
        let Some((table, route)) = found else {
            self.say("route", format!("no route for {host} and this path: 404"));
            return;
        };
        self.host = Some(table.host.to_string());
        self.say("route", format!("host {}, {}", table.host, line(route)));
        self.route = Some(route.clone());
        let allows = |policy: &Policy| policy.allow_encoded_slashes;
        if sanitise::has_encoded_slash(question.parts.uri.path())
            && !route.policy.as_deref().is_some_and(allows)
        {
            let (refused, status) = (Malformed::EncodedSlash, Malformed::EncodedSlash.status());
            self.say(
                "sanitise",
                format!("refused with {}: {refused}", status.as_u16()),
            );
            return;
        }
        self.certificates(table, question);
        for (phase, says) in policy::steps(route, question.is_tls, question.client) {
            self.say(phase, says);
        }
        self.backends(route, snapshot);
    }

    fn certificates(&mut self, table: &RouteTable, question: &Question) {
        if let Some(auth) = &table.client_auth {
            let mode = format!("{:?}", auth.mode).to_lowercase();
            let without = if question.is_tls {
                ""
            } else {
                "; without TLS there is none"
            };
            let says = format!(
                "client certificate: {mode}, of {}{without}",
                auth.authorities
            );
            self.say("certificate", says);
        }
    }

    fn backends(&mut self, route: &Route, snapshot: &Snapshot) {
        for backend in &route.backends {
            let cluster = snapshot.clusters.get(backend.cluster.as_str());
            let endpoints = cluster.map(|cluster| endpoints(cluster, snapshot));
            let endpoints = endpoints.unwrap_or_default();
            let says = match (cluster, endpoints.len()) {
                (None, _) => format!("{} does not exist: 503", backend.cluster),
                (Some(_), 0) => format!("{} has no ready endpoints: 503", backend.cluster),
                (Some(_), count) => {
                    format!(
                        "{}, weight {}, {count} endpoints",
                        backend.cluster, backend.weight
                    )
                }
            };
            self.say("balance", says);
            self.backends.push(Backend {
                cluster: backend.cluster.clone(),
                weight: backend.weight,
                endpoints,
            });
        }
    }
}

fn line(route: &Route) -> String {
    let kind = format!("{:?}", route.path.kind);
    format!(
        "{kind} {} of {} (rank {})",
        route.path.value, route.owner, route.rank
    )
}

/// The ready endpoints of a cluster, or the name that stands in for them.
fn endpoints(cluster: &Cluster, snapshot: &Snapshot) -> Vec<String> {
    if let Some(name) = &cluster.external_name {
        return vec![format!("{name}:{}", cluster.port.unwrap_or_default())];
    }
    let mut found = Vec::new();
    for (_, group) in snapshot.endpoint_groups_of(&cluster.namespace, &cluster.service) {
        let port = group
            .ports
            .iter()
            .find(|port| port.name == cluster.port_name);
        let Some(port) = port.and_then(|port| port.port) else {
            continue;
        };
        let ready = group.endpoints.iter().filter(|endpoint| endpoint.ready);
        found.extend(ready.map(|it| std::net::SocketAddr::new(it.address, port).to_string()));
    }
    found.sort();
    found.dedup();
    found
}

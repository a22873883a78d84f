//! Answers that are replaced: for the statuses that a route names, another cluster is asked for a page.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header,
    request::Parts,
};
use meshlite_snapshot::Name;

use crate::{
    client::REQUEST_ID,
    forward::Exchange,
    pool::RequestBody,
    respond::Body,
    table::{ClusterId, Route},
};

const CODE: HeaderName = HeaderName::from_static("x-code");
const FORMAT: HeaderName = HeaderName::from_static("x-format");
const ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");
/// What is known when the table is built: the object, and the backend that its route names first.
const ABOUT: [&str; 4] = [
    "x-namespace",
    "x-ingress-name",
    "x-service-name",
    "x-service-port",
];

/// Which answers are replaced, and by whose.
#[derive(Debug)]
pub(super) struct ErrorPages {
    statuses: Box<[StatusCode]>,
    cluster: ClusterId,
    about: Box<[(HeaderName, HeaderValue)]>,
}

/// What a page is told of the request that has failed.
#[derive(Debug)]
pub(super) struct Failed {
    is_head: bool,
    headers: HeaderMap,
}

impl ErrorPages {
    /// None where a status is not an error's.
    pub(super) fn new(
        pages: &meshlite_snapshot::ErrorPages,
        route: &meshlite_snapshot::Route,
        cluster: ClusterId,
    ) -> Option<Self> {
        let status = |status: &u16| {
            let status = StatusCode::from_u16(*status).ok()?;
            (status.is_client_error() || status.is_server_error()).then_some(status)
        };
        let backend = route
            .backends
            .first()
            .map(|backend| Name::as_str(&backend.cluster));
        let mut backend = backend.unwrap_or_default().split('/').skip(1);
        let service = backend.next().unwrap_or_default();
        let port = backend.next().unwrap_or_default();
        let port = port.split('@').next().unwrap_or_default();
        let (namespace, name) = (&*route.owner.namespace, &*route.owner.name);
        let about = ABOUT.into_iter().zip([namespace, name, service, port]);
        let about = about.filter_map(|(name, value)| {
            Some((
                HeaderName::from_static(name),
                HeaderValue::from_str(value).ok()?,
            ))
        });
        Some(Self {
            statuses: pages.statuses.iter().map(status).collect::<Option<_>>()?,
            cluster,
            about: about.collect(),
        })
    }

    pub(super) fn replace(&self, status: StatusCode) -> bool {
        self.statuses.contains(&status)
    }

    pub(super) fn remember(&self, head: &Parts) -> Failed {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.about {
            headers.insert(name.clone(), value.clone());
        }
        let kept = [header::HOST, header::ACCEPT_LANGUAGE, REQUEST_ID.clone()];
        for name in kept {
            if let Some(value) = head.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        if let Some(accept) = head.headers.get(header::ACCEPT) {
            headers.insert(FORMAT, accept.clone());
        }
        let target = head
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        if let Ok(target) = HeaderValue::from_str(target) {
            headers.insert(ORIGINAL_URI, target);
        }
        Failed {
            is_head: head.method == Method::HEAD,
            headers,
        }
    }

    /// The page for a status; none where it cannot be had.
    pub(super) async fn page(
        &self,
        exchange: &Exchange<'_>,
        route: &Route,
        failed: &Failed,
        status: StatusCode,
    ) -> Option<Response<Body>> {
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = if failed.is_head {
            Method::HEAD
        } else {
            Method::GET
        };
        request.headers_mut().clone_from(&failed.headers);
        request.headers_mut().insert(CODE, status.as_u16().into());
        let cluster = exchange.table.cluster(self.cluster)?;
        exchange.fetch(cluster, route, request).await.ok()
    }
}

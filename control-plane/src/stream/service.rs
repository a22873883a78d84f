//! The service `SnapshotDiscovery` as HTTP sees it: its streams have a body of their own.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use meshlite_proto::v1::{self, snapshot_discovery_server::SERVICE_NAME};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codec::BufferSettings,
    codegen::{BoxFuture, Service},
    metadata::{GRPC_CONTENT_TYPE, MetadataMap},
    server::{Grpc, NamedService, ServerStreamingService},
};
use tonic_prost::{ProstCodec, ProstDecoder};

use super::{Discovery, wire::PieceBody};

/// The largest message that a client sends, in bytes: a thousand rejections with their names and messages.
const MAX_REQUEST_BYTES: usize = 2 * 1024 * 1024;

/// What a stream's buffer for requests holds at first, and at least later, in bytes. Most streams are idle.
const BUFFER: usize = 512;

/// `FetchSnapshot`.
#[derive(Debug)]
struct Fetch(Arc<Discovery>);

impl NamedService for Discovery {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<http::Request<Body>> for Discovery {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let this = Arc::new(self.clone());
        let method = request.uri().path().strip_prefix('/');
        let method = method.and_then(|path| path.strip_prefix(SERVICE_NAME));
        match method {
            Some("/StreamSnapshots") => {
                let response = stream(this, request);
                Box::pin(async move { Ok(response) })
            }
            Some("/FetchSnapshot") => Box::pin(async move {
                let mut grpc = Grpc::new(ProstCodec::default())
                    .apply_max_message_size_config(Some(MAX_REQUEST_BYTES), None);
                Ok(grpc.server_streaming(Fetch(this), request).await)
            }),
            Some(_) | None => {
                let unknown = Status::unimplemented("there is no such method");
                Box::pin(async move { Ok(unknown.into_http()) })
            }
        }
    }
}

/// `StreamSnapshots`.
fn stream(discovery: Arc<Discovery>, request: http::Request<Body>) -> http::Response<Body> {
    let (parts, body) = request.into_parts();
    let decoder = ProstDecoder::new(BufferSettings::new(BUFFER, BUFFER));
    let inbound = Streaming::<v1::DiscoveryRequest>::new_request(
        decoder,
        body,
        None,
        Some(MAX_REQUEST_BYTES),
    );
    let metadata = MetadataMap::from_headers(parts.headers);
    match discovery.open(Request::from_parts(metadata, parts.extensions, inbound)) {
        Ok(outbound) => {
            let mut response = http::Response::new(Body::new(PieceBody::new(outbound)));
            let headers = response.headers_mut();
            headers.insert(http::header::CONTENT_TYPE, GRPC_CONTENT_TYPE);
            response
        }
        Err(status) => status.into_http(),
    }
}

impl ServerStreamingService<v1::FetchSnapshotRequest> for Fetch {
    type Response = v1::FetchSnapshotResponse;
    type ResponseStream = ReceiverStream<Result<v1::FetchSnapshotResponse, Status>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<v1::FetchSnapshotRequest>) -> Self::Future {
        let fetched = self.0.fetch(&request);
        Box::pin(async move { fetched.map(Response::new) })
    }
}

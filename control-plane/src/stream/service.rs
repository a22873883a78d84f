//! The service `SnapshotDiscovery` as HTTP sees it: its streams have an encoding of their own.

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
    codegen::{BoxFuture, Service},
    server::{Grpc, NamedService, ServerStreamingService, StreamingService},
};
use tonic_prost::ProstCodec;

use super::{Discovery, outbound::Outbound, wire::PieceCodec};

/// The largest message that a client sends, in bytes: a thousand rejections with their names and messages.
const MAX_REQUEST_BYTES: usize = 2 * 1024 * 1024;

/// `StreamSnapshots`.
#[derive(Debug)]
struct Stream(Arc<Discovery>);

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
            Some("/StreamSnapshots") => Box::pin(async move {
                let mut grpc = Grpc::new(PieceCodec)
                    .apply_max_message_size_config(Some(MAX_REQUEST_BYTES), None);
                Ok(grpc.streaming(Stream(this), request).await)
            }),
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

impl StreamingService<v1::DiscoveryRequest> for Stream {
    type Response = super::wire::Piece;
    type ResponseStream = Outbound;
    type Future = BoxFuture<Response<Outbound>, Status>;

    fn call(&mut self, request: Request<Streaming<v1::DiscoveryRequest>>) -> Self::Future {
        let opened = Arc::clone(&self.0).open(request);
        Box::pin(async move { opened.map(Response::new) })
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

//! The gRPC server: its services, behind the gate, with its limits.

use std::{sync::Arc, time::Duration};

use meshlite_proto::v1::{FILE_DESCRIPTOR_SET, snapshot_status_server::SnapshotStatusServer};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{server::NamedService as _, transport::Server};
use tonic_health::{ServingStatus, pb as health_pb, server::HealthReporter};
use tracing::{Instrument, info_span};

use super::{Gate, RunError};
use crate::{status::StatusService, stream::Discovery, tls::accept};

/// HTTP/2 pings, so that a peer that is gone is noticed.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call may take until its answer begins.
const ANSWER: Duration = Duration::from_secs(30);
/// Calls at the same time on a connection. A data plane makes one, a person who looks a few.
const MAX_STREAMS: u32 = 128;
/// Headers of a call, in bytes: a token of 8 KiB, and what grpcurl adds.
const MAX_HEADERS: u32 = 16 * 1024;
/// What a client may send before it is read, in bytes.
const WINDOW: u32 = 64 * 1024;
/// The largest question of a person or tool, in bytes.
const MAX_QUESTION: usize = 64 * 1024;
/// Connections that wait to be served.
const ACCEPTED: usize = 64;
/// How long connections may stay open after stop. Clients have a second to read that they should leave.
const DRAIN: Duration = Duration::from_secs(2);

/// The services whose health is told, with that of the server as a whole.
pub(super) const HEALTH: [&str; 3] = [
    "",
    Discovery::NAME,
    SnapshotStatusServer::<StatusService>::NAME,
];

pub(crate) async fn serve_grpc(
    listener: TcpListener,
    gate: Gate,
    status: StatusService,
    health: HealthReporter,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let discovery = status.discovery.clone();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(health_pb::FILE_DESCRIPTOR_SET)
    };
    let health_service = tonic_health::server::HealthService::from_health_reporter(health.clone());
    let stopped = {
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            tell(&health, ServingStatus::NotServing).await;
        }
    };
    let (ready, incoming) = mpsc::channel(ACCEPTED);
    let accepting = accept(listener, gate.shown, Arc::clone(&discovery.metrics), ready);
    let serving = server()
        .layer(gate.access)
        .add_service(discovery)
        .add_service(SnapshotStatusServer::new(status).max_decoding_message_size(MAX_QUESTION))
        .add_service(health_pb::health_server::HealthServer::new(health_service))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .serve_with_incoming_shutdown(ReceiverStream::new(incoming), stopped)
        .instrument(info_span!("grpc"));
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    let serving = async { tokio::join!(serving, accepting).0 };
    tokio::select! {
        served = serving => Ok(served?),
        () = overdue => Ok(()),
    }
}

/// Streams are few and long, and clients send little: windows are small, so that no client can make us keep much.
fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .timeout(ANSWER)
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADERS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_adaptive_window(Some(false))
}

pub(super) async fn tell(health: &HealthReporter, status: ServingStatus) {
    for service in HEALTH {
        health.set_service_status(service, status).await;
    }
}

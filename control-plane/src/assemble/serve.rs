//! The gRPC server: its services, behind the gate, with its limits.

use std::{sync::Arc, time::Duration};

use meshlite_proto::v1::{FILE_DESCRIPTOR_SET, snapshot_status_server::SnapshotStatusServer};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;
use tonic::{server::NamedService as _, service::Routes};
use tonic_health::{ServingStatus, pb as health_pb, server::HealthReporter};
use tower::Layer as _;

use super::{Gate, RunError, connections};
use crate::{status::StatusService, stream::Discovery, tls::accept};

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
    let (ready, incoming) = mpsc::channel(ACCEPTED);
    let accepting = accept(listener, gate.shown, Arc::clone(&discovery.metrics), ready);
    let services = Routes::new(discovery)
        .add_service(SnapshotStatusServer::new(status).max_decoding_message_size(MAX_QUESTION))
        .add_service(health_pb::health_server::HealthServer::new(health_service))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .prepare();
    let serving = connections::serve(incoming, gate.access.layer(services), stop.clone());
    let telling = async {
        stop.cancelled().await;
        tell(&health, ServingStatus::NotServing).await;
    };
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    let ending = async { tokio::join!(serving, accepting, telling) };
    tokio::select! {
        _ended = ending => {}
        () = overdue => {}
    }
    Ok(())
}

pub(super) async fn tell(health: &HealthReporter, status: ServingStatus) {
    for service in HEALTH {
        health.set_service_status(service, status).await;
    }
}

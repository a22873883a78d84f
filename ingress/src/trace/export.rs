//! Sends spans to a collector over gRPC, in batches and in the background: no request waits for it.

use std::time::Duration;

use http::uri::PathAndQuery;
use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};
use tonic::{
    client::Grpc,
    transport::{Channel, ClientTlsConfig, Endpoint},
};
use tonic_prost::ProstCodec;
use tracing::warn;

use super::{
    Sampler, Traced, Tracing,
    otlp::{self, Export, Exported},
};

const EXPORT: PathAndQuery =
    PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
/// Requests whose spans may wait; what comes then is dropped, and counted.
const MAX_WAITING: usize = 2048;
/// Requests whose spans are sent at once …
const BATCH: usize = 256;
/// … or as many as there are after this time.
const AFTER: Duration = Duration::from_secs(1);
/// How long a collector may take.
const WITHIN: Duration = Duration::from_secs(10);
/// How long the last spans may take when the ingress stops.
const LAST: Duration = Duration::from_secs(3);

/// Where spans go. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Spans {
    pub(super) sampler: Sampler,
    queue: mpsc::Sender<Message>,
    dropped: Counter,
}

#[derive(Debug)]
enum Message {
    Ended(Box<Traced>),
    Flush(oneshot::Sender<()>),
}

impl Spans {
    /// Starts the task that exports. It ends when nobody has spans any more.
    pub(crate) fn start(
        tracing: &Tracing,
        dropped: Counter,
    ) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(tracing.endpoint.clone())?
            .connect_timeout(WITHIN)
            .timeout(WITHIN);
        let endpoint = if tracing.endpoint.starts_with("https:") {
            endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?
        } else {
            endpoint
        };
        let (queue, spans) = mpsc::channel(MAX_WAITING);
        let exporter = Exporter {
            collector: Grpc::new(endpoint.connect_lazy()),
            service: tracing.service.clone(),
            dropped: dropped.clone(),
            is_failing: false,
        };
        tokio::spawn(exporter.run(spans));
        Ok(Self {
            sampler: tracing.sampler,
            queue,
            dropped,
        })
    }

    pub(super) fn export(&self, request: Box<Traced>) {
        if self.queue.try_send(Message::Ended(request)).is_err() {
            self.dropped.inc();
        }
    }

    /// Exports what there is.
    pub(crate) async fn flush(&self) {
        let (tell, told) = oneshot::channel();
        let flushed = async {
            if self.queue.send(Message::Flush(tell)).await.is_ok() {
                drop(told.await);
            }
        };
        if timeout(LAST, flushed).await.is_err() {
            warn!("the collector of traces takes too long; the last spans are lost");
        }
    }
}

#[derive(Debug)]
struct Exporter {
    collector: Grpc<Channel>,
    service: String,
    dropped: Counter,
    is_failing: bool,
}

impl Exporter {
    async fn run(mut self, mut spans: mpsc::Receiver<Message>) {
        while let Some(first) = spans.recv().await {
            let until = Instant::now() + AFTER;
            let mut batch = Vec::with_capacity(BATCH);
            let mut next = Some(first);
            let mut flushed = None;
            while let Some(message) = next {
                match message {
                    Message::Ended(request) => batch.push(request),
                    Message::Flush(tell) => {
                        flushed = Some(tell);
                        break;
                    }
                }
                if batch.len() >= BATCH {
                    break;
                }
                next = timeout_at(until, spans.recv()).await.ok().flatten();
            }
            if !batch.is_empty() {
                self.export(&batch).await;
            }
            // Who waits is told by its end.
            drop(flushed);
        }
    }

    async fn export(&mut self, batch: &[Box<Traced>]) {
        let sent = timeout(WITHIN, self.send(otlp::export(&self.service, batch))).await;
        let problem = match sent {
            Ok(Ok(exported)) => {
                let partial = exported.partial.filter(|partial| partial.rejected > 0);
                partial.map(|partial| partial.message)
            }
            Ok(Err(status)) => Some(status.to_string()),
            Err(_) => Some(format!("no answer within {WITHIN:?}")),
        };
        if let Some(problem) = &problem {
            self.dropped
                .inc_by(batch.len().try_into().unwrap_or_default());
            if !self.is_failing {
                warn!(%problem, "the collector of traces takes no spans");
            }
        }
        self.is_failing = problem.is_some();
    }

    async fn send(&mut self, export: Export) -> Result<Exported, tonic::Status> {
        let ready = self.collector.ready().await;
        ready.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<Export, Exported>::default();
        let request = tonic::Request::new(export);
        let answer = self.collector.unary(request, EXPORT, codec).await?;
        Ok(answer.into_inner())
    }
}

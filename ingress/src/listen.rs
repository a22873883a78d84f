//! Listening sockets and the workers that accept from them: one thread, one runtime and one pool for each core.

mod accept;
mod calm;
mod conduct;
mod http1;
mod http2;
mod incoming;
mod io;
mod proxy_protocol;
mod sockets;
mod stream;
mod tls;
mod turn;
mod watch;
mod worker;

use std::{
    future::Future,
    sync::{Arc, atomic::AtomicBool, mpsc::SyncSender},
    time::Duration,
};

use arc_swap::ArcSwap;

#[cfg(test)]
pub(crate) use self::worker::Drained;
pub(crate) use self::{
    http1::{encode_hint, replay},
    incoming::{Incoming, IncomingError, Switched, Upgrading},
    sockets::bind,
    stream::Reset,
    worker::{Command, Worker, WorkerHandle},
};
use crate::{
    Config,
    metrics::Metrics,
    policy::{Passwords, Taken},
    table::Table,
    trace::Spans,
};

/// When a silent peer, client or endpoint, is first asked whether it is still there.
pub(crate) const KEEPALIVE: Duration = Duration::from_mins(1);

/// How long a request that may be on its way is waited for when a listener closes.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) table: Arc<ArcSwap<Table>>,
    pub(crate) taken: Taken,
    pub(crate) passwords: Passwords,
    /// Another process accepts from the same sockets from now on.
    pub(crate) is_relieved: AtomicBool,
    /// Where the spans of requests go; nowhere.
    pub(crate) spans: Option<Spans>,
    /// Where workers' access logs go.
    pub(crate) log_writer: Option<SyncSender<Vec<u8>>>,
}

/// Runs hyper's tasks on the worker that they come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        drop(tokio::task::spawn_local(future));
    }
}

//! One worker: a thread with its own runtime, sockets and upstream connections.

use std::{
    cell::RefCell, collections::BTreeMap, io, net::TcpListener, rc::Rc, sync::Arc, time::Duration,
};

use hyper::server::conn::http2;
use tokio::{
    runtime::{Builder, LocalOptions, LocalRuntime},
    select,
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, debug, info_span, warn};

use super::{
    Shared, accept, http1::Date, sockets::Listening, turn::StreamExecutor, watch::Promptness,
};
use crate::{
    access_log::AccessLog,
    http1::Scratch,
    pool::{Pool, Resolver},
    table::ListenerId,
    timers::Timers,
};

const PRUNE: Duration = Duration::from_secs(1);

/// What the installer tells a worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// Accept from these sockets for this listener, in place of those that it had before.
    Listen(ListenerId, Vec<TcpListener>),
    /// Stop accepting for this listener and let its connections finish.
    Close(ListenerId),
    /// Give all sockets once more, and go on accepting from them.
    Share(oneshot::Sender<io::Result<Vec<TcpListener>>>),
}

/// What a worker accepts from for one listener.
#[derive(Debug)]
struct Open {
    sockets: Vec<Rc<Listening>>,
    close: CancellationToken,
}

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drained {
    /// Connections and tunnels that had to be cut off.
    pub(crate) cut_off: usize,
}

/// What the tasks of one worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) index: usize,
    pub(crate) pool: Rc<Pool>,
    pub(crate) resolver: Resolver,
    pub(crate) http2: http2::Builder<StreamExecutor>,
    /// What connections read into.
    pub(crate) scratch: Scratch,
    /// What the heads of responses are written into, but for those that are being sent.
    pub(crate) head_memory: RefCell<Vec<u8>>,
    pub(crate) date: Date,
    pub(crate) access_log: Option<Rc<AccessLog>>,
    pub(crate) timers: Timers,
    /// Those of a few milliseconds, which would change the others.
    pub(crate) brief_timers: Timers,
    /// Of clients that were accepted.
    pub(crate) promptness: Rc<Promptness>,
    /// Connections and tunnels.
    pub(crate) tasks: TaskTracker,
}

/// A running worker.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) drained: oneshot::Receiver<Drained>,
}

impl WorkerHandle {
    /// Starts a worker. It ends some time after `stop`, when its connections have, and at the latest after the drain timeout.
    pub(crate) fn spawn(
        shared: Arc<Shared>,
        index: usize,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let (commands, received) = mpsc::channel(16);
        let (report, drained) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("ingress-{index}"))
            .spawn(move || {
                let runtime = Builder::new_current_thread()
                    .enable_all()
                    .max_blocking_threads(8)
                    .build_local(LocalOptions::default());
                let runtime: LocalRuntime = match runtime {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        warn!(worker = index, %error, "worker cannot start");
                        return;
                    }
                };
                let worker = Rc::new(Worker::new(shared, index));
                let run = run(worker, received, stop).instrument(info_span!("worker", index));
                let result = runtime.block_on(run);
                runtime.shutdown_background();
                if report.send(result).is_err() {
                    debug!(worker = index, "nobody waits for this worker");
                }
            })?;
        Ok(Self { commands, drained })
    }
}

impl Open {
    /// Starts to accept.
    fn new(
        worker: &Rc<Worker>,
        id: ListenerId,
        sockets: Vec<TcpListener>,
        close: CancellationToken,
    ) -> Self {
        let mut opened = Vec::with_capacity(sockets.len());
        for socket in sockets {
            match Listening::new(socket).map(Rc::new) {
                Ok(socket) => {
                    accept::start(worker, id, Rc::clone(&socket), close.clone());
                    opened.push(socket);
                }
                Err(error) => warn!(%error, "socket cannot be used"),
            }
        }
        Self {
            sockets: opened,
            close,
        }
    }

    fn share(&self) -> impl Iterator<Item = io::Result<TcpListener>> {
        self.sockets.iter().map(|socket| socket.share())
    }
}

impl Worker {
    fn new(shared: Arc<Shared>, index: usize) -> Self {
        let config = &shared.config;
        let scratch = Scratch::default();
        Self {
            pool: Rc::new(Pool::new(config.upstream_idle_timeout, Rc::clone(&scratch))),
            resolver: Resolver::new(config.connect_timeout),
            http2: super::http2::builder(config.send_timeout),
            scratch,
            head_memory: RefCell::default(),
            date: Date::default(),
            access_log: access_log(&shared),
            timers: Timers::default(),
            brief_timers: Timers::default(),
            promptness: Rc::default(),
            tasks: TaskTracker::new(),
            shared,
            index,
        }
    }
}

fn access_log(shared: &Shared) -> Option<Rc<AccessLog>> {
    let (format, writer) = (shared.config.access_log?, shared.log_writer.clone()?);
    let dropped = shared.metrics.access_log_dropped.clone();
    Some(AccessLog::new(format, writer, dropped))
}

/// Three kinds of tasks: this one, one for each socket, and one for each connection or tunnel, which are waited for.
async fn run(
    worker: Rc<Worker>,
    mut commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
) -> Drained {
    let mut open: BTreeMap<ListenerId, Open> = BTreeMap::new();
    let mut prune = interval(PRUNE);
    prune.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        select! {
            biased;
            () = stop.cancelled() => break,
            command = commands.recv() => match command {
                Some(Command::Listen(id, sockets)) => {
                    let opened = Open::new(&worker, id, sockets, stop.child_token());
                    if let Some(before) = open.insert(id, opened) {
                        before.close.cancel();
                    }
                }
                Some(Command::Close(id)) => {
                    if let Some(opened) = open.remove(&id) {
                        opened.close.cancel();
                    }
                }
                Some(Command::Share(give)) => {
                    let shared = open.values().flat_map(Open::share).collect();
                    if give.send(shared).is_err() {
                        debug!("nobody waits for sockets");
                    }
                }
                None => break,
            },
            _ = prune.tick() => {
                worker.pool.prune(Instant::now());
                if let Some(log) = &worker.access_log {
                    log.flush();
                }
            }
        }
    }
    for opened in std::mem::take(&mut open).into_values() {
        opened.close.cancel();
    }
    worker.tasks.close();
    let limit = worker.shared.config.drain_timeout;
    drop(timeout(limit, worker.tasks.wait()).await);
    Drained {
        cut_off: worker.tasks.len(),
    }
}

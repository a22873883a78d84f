//! Installs commits: validate, bind, swap, acknowledge. What is not good is rejected and its last good version stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use meshlite_proto::subscribe::{Change, Commit, RejectReason};
use meshlite_runtime::listen::ListenError;
use meshlite_snapshot::{Listener, Name, ResourceType, Snapshot, Topic};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::{
    listen::{self, Command, Shared},
    table::{Builder, ListenerId, Rejection, Table},
};

/// Rounds of rejecting before the rest is installed without what is still not good.
const MAX_ROUNDS: usize = 4;

/// The listeners that are bound, and where.
pub(crate) type Bound = BTreeMap<Name, SocketAddr>;

/// A state that is offered for installation.
pub(crate) trait Offer {
    fn generation(&self) -> u64;
    fn snapshot(&self) -> &Snapshot;
    /// At least all that differs from the last offer.
    fn changes(&self) -> &[Change];
    /// Puts the last good version back.
    fn reject(&mut self, rejection: Rejection);
}

/// Makes the workers serve what is offered.
#[derive(Debug)]
pub(crate) struct Installer {
    shared: Arc<Shared>,
    builder: Builder,
    workers: Vec<mpsc::Sender<Command>>,
    /// Another process has the sockets: none are bound until they are inherited.
    is_heir: bool,
    /// Sockets of the process before this one that no listener has yet.
    inherited: Vec<TcpListener>,
    sockets: BTreeMap<Name, Socket>,
    /// Ports that this process has, or may not have closed yet.
    own_ports: BTreeSet<u16>,
    /// Listeners that could not be bound, and their ports.
    waiting: BTreeMap<Name, u16>,
    snapshot: Snapshot,
    generation: u64,
    bound: watch::Sender<Bound>,
    installed: watch::Sender<Snapshot>,
    /// Tables that requests may still use. They are freed here, because that takes longer than a request does.
    retired: Vec<Arc<Table>>,
}

/// A bound listener.
#[derive(Clone, Copy, Debug)]
struct Socket {
    id: ListenerId,
    /// As the listener names it; 0 for any.
    port: u16,
    address: SocketAddr,
}

/// Sockets that no worker has yet.
type Fresh = BTreeMap<Name, (Socket, Vec<TcpListener>)>;

// === impl Offer ===

impl Offer for Commit {
    fn generation(&self) -> u64 {
        Self::generation(self)
    }

    fn snapshot(&self) -> &Snapshot {
        Self::snapshot(self)
    }

    fn changes(&self) -> &[Change] {
        Self::changes(self)
    }

    fn reject(&mut self, rejection: Rejection) {
        let kind = rejection.kind;
        let subscribed = Topic::INGRESS.into_iter().find(|topic| topic.kind == kind);
        let topic = subscribed.unwrap_or(Topic::all(kind));
        Self::reject(
            self,
            topic,
            &rejection.name,
            rejection.reason,
            rejection.message,
        );
    }
}

// === impl Installer ===

impl Installer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        builder: Builder,
        workers: Vec<mpsc::Sender<Command>>,
        bound: watch::Sender<Bound>,
    ) -> Self {
        Self {
            shared,
            builder,
            workers,
            is_heir: false,
            inherited: Vec::new(),
            sockets: BTreeMap::new(),
            own_ports: BTreeSet::new(),
            waiting: BTreeMap::new(),
            snapshot: Snapshot::default(),
            generation: 0,
            bound,
            installed: watch::Sender::default(),
            retired: Vec::new(),
        }
    }

    /// What is installed, now and as it changes.
    pub(crate) fn installed(&self) -> watch::Receiver<Snapshot> {
        self.installed.subscribe()
    }

    /// Binds nothing until [`Installer::inherit`].
    pub(crate) fn wait_for_sockets(&mut self) {
        self.is_heir = true;
    }

    pub(crate) fn is_heir(&self) -> bool {
        self.is_heir
    }

    /// Binds from now on, and takes these where they are what is wanted, however many workers they were made for.
    pub(crate) fn inherit(&mut self, sockets: Vec<TcpListener>) {
        self.is_heir = false;
        self.inherited = sockets;
    }

    /// Closes what was inherited and no listener wanted.
    pub(crate) fn close_unwanted(&mut self) {
        self.inherited.clear();
    }

    /// Installs an offer without what it rejects of it.
    pub(crate) async fn install(&mut self, offer: &mut impl Offer) {
        for change in offer.changes() {
            if change.topic.kind == ResourceType::Listener {
                self.waiting.remove(&change.name);
            }
        }
        let mut fresh = Fresh::new();
        let mut rejected = 0;
        for round in 1..=MAX_ROUNDS {
            self.snapshot = offer.snapshot().clone();
            self.generation = offer.generation();
            let rejections = self.prepare(offer.changes(), &mut fresh);
            if rejections.is_empty() || round == MAX_ROUNDS {
                break;
            }
            rejected += rejections.len();
            for rejection in rejections {
                let Rejection {
                    kind,
                    name,
                    reason,
                    message,
                } = &rejection;
                warn!(%kind, %name, ?reason, %message, "resource rejected");
                offer.reject(rejection);
            }
        }
        self.shared
            .metrics
            .generation
            .set(i64::try_from(self.generation).unwrap_or(i64::MAX));
        self.switch(fresh).await;
        self.installed.send_replace(self.snapshot.clone());
        info!(generation = self.generation, rejected, "snapshot installed");
    }

    /// Whether [`Installer::can_bind`] has something to find out.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether there is nothing to serve, or some of it is served.
    pub(crate) fn serves(&self) -> bool {
        self.waiting.is_empty() || !self.sockets.is_empty()
    }

    /// Whether something that could not be bound could be now. It is, once it is offered again.
    pub(crate) fn can_bind(&mut self) -> bool {
        let before = self.waiting.len();
        let address = self.shared.config.address;
        self.waiting.retain(|_, port| {
            let probed = listen::bind(SocketAddr::new(address, *port), 1, false);
            probed.is_err()
        });
        self.waiting.len() < before
    }

    /// Builds the table and binds new sockets, without anything being visible yet.
    fn prepare(&mut self, changes: &[Change], fresh: &mut Fresh) -> Vec<Rejection> {
        self.rename();
        let mut rejections = self.builder.build(&self.snapshot, changes);
        let listeners = self.snapshot.listeners.clone();
        fresh.retain(|name, _| listeners.contains_key(name));
        // Where two want the same port, the one that has it keeps it.
        let has_it = |name: &Name, listener: &Listener| {
            let socket = self.sockets.get(name);
            socket.is_some_and(|socket| socket.port == listener.proxy_port)
        };
        let mut order: Vec<_> = listeners.iter().collect();
        order.sort_by_key(|(name, listener)| !has_it(name, listener));
        let mut ports = BTreeSet::new();
        for (name, listener) in order {
            let refused = if listener.proxy_port != 0 && !ports.insert(listener.proxy_port) {
                let message = format!("proxy port {} has another listener", listener.proxy_port);
                Some((RejectReason::Invalid, message))
            } else if let Err(error) = self.bind(name, listener, fresh) {
                self.waiting.insert(name.clone(), listener.proxy_port);
                Some((RejectReason::NotProgrammed, error.to_string()))
            } else {
                None
            };
            if let Some((reason, message)) = refused {
                rejections.push(Rejection {
                    kind: ResourceType::Listener,
                    name: name.clone(),
                    reason,
                    message,
                });
            }
        }
        rejections
    }

    /// Hands the sockets of a listener that goes to one that comes with the same port, and its connections with them.
    fn rename(&mut self) {
        for (name, listener) in self.snapshot.listeners.iter() {
            if listener.proxy_port == 0 || self.sockets.contains_key(name) {
                continue;
            }
            let port = listener.proxy_port;
            let goes = |(old, socket): &(&Name, &Socket)| {
                let now = self.snapshot.listeners.get(*old);
                socket.port == port && now.is_none_or(|now| now.proxy_port != port)
            };
            let old = self.sockets.iter().find(goes).map(|(old, _)| old.clone());
            if let Some(old) = old
                && self.builder.rename_listener(&old, name)
                && let Some(socket) = self.sockets.remove(&old)
            {
                self.sockets.insert(name.clone(), socket);
            }
        }
    }

    /// Binds a listener, unless it is bound as it should be.
    fn bind(
        &mut self,
        name: &Name,
        listener: &Listener,
        fresh: &mut Fresh,
    ) -> Result<(), ListenError> {
        let port = listener.proxy_port;
        let staged = fresh.get(name).map(|(socket, _)| socket);
        if staged
            .or(self.sockets.get(name))
            .is_some_and(|socket| socket.port == port)
        {
            return Ok(());
        }
        let address = SocketAddr::new(self.shared.config.address, port);
        let (address, sockets) = self
            .sockets_at(address)
            .map_err(|error| ListenError::new(&format!("listener {name}"), address, error))?;
        self.own_ports.insert(address.port());
        let id = self.builder.listener_id(name);
        fresh.insert(name.clone(), (Socket { id, port, address }, sockets));
        Ok(())
    }

    /// At least one socket for each worker.
    fn sockets_at(&mut self, address: SocketAddr) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
        if self.is_heir {
            return Err(io::Error::other(
                "the ingress before this one has its sockets",
            ));
        }
        let is_it = |socket: &mut TcpListener| {
            address.port() != 0 && socket.local_addr().is_ok_and(|local| local == address)
        };
        let mut sockets: Vec<_> = self.inherited.extract_if(.., is_it).collect();
        let is_ours = !sockets.is_empty() || self.own_ports.contains(&address.port());
        let missing = self.workers.len().saturating_sub(sockets.len());
        let (address, bound) = listen::bind(address, missing, is_ours)?;
        sockets.extend(bound);
        Ok((address, sockets))
    }

    /// Makes it visible: the table first, then new sockets, then old ones go.
    async fn switch(&mut self, fresh: Fresh) {
        self.retired
            .push(self.shared.table.swap(self.builder.built()));
        self.retired.retain(|table| Arc::strong_count(table) > 1);
        for (name, (socket, sockets)) in fresh {
            info!(listener = %name, address = %socket.address, "listening");
            let mut shares: Vec<_> = self.workers.iter().map(|worker| (worker, vec![])).collect();
            let count = shares.len();
            for (number, listener) in sockets.into_iter().enumerate() {
                if let Some((_, share)) = shares.get_mut(number % count.max(1)) {
                    share.push(listener);
                }
            }
            for (worker, share) in shares {
                tell(worker, Command::Listen(socket.id, share)).await;
            }
            self.sockets.insert(name, socket);
        }
        let listeners = &self.snapshot.listeners;
        let gone: Vec<_> = self
            .sockets
            .extract_if(.., |name, _| !listeners.contains_key(name))
            .collect();
        for (name, socket) in gone {
            info!(listener = %name, address = %socket.address, "listener removed");
            for worker in &self.workers {
                tell(worker, Command::Close(socket.id)).await;
            }
        }
        let addresses = self
            .sockets
            .iter()
            .map(|(name, socket)| (name.clone(), socket.address));
        self.bound.send_replace(addresses.collect());
    }
}

async fn tell(worker: &mpsc::Sender<Command>, command: Command) {
    if worker.send(command).await.is_err() {
        warn!("a worker has ended");
    }
}

//! One bound address: its socket, the virtual servers there, and their real servers.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use meshlite_snapshot::Protocol;
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Context,
    affinity::Affinity,
    backend::Backend,
    bind,
    limits::Shortage,
    pool::{Persistence, Pool, PoolParts, Routes},
    tcp, udp,
};
use crate::{
    kernel::KernelError,
    table::{
        Audience, Frontend, Key, ObservedServer, Origin, Owner, RealServer, RealServers,
        ServicePortName, Settings, VirtualServer,
    },
};

/// Connections that may wait to be accepted; the kernel's own bound applies too.
const BACKLOG: u32 = 4096;

/// One bound address.
#[derive(Debug)]
pub(super) struct Place {
    frontend: Frontend,
    bound: SocketAddr,
    socket: Socket,
    servers: BTreeMap<Audience, Server>,
    backends: BTreeMap<SocketAddr, Arc<Backend>>,
    shared: Arc<Shared>,
}

/// What the tasks of a place share with it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) frontend: Frontend,
    pub(super) routes: ArcSwap<Routes>,
    pub(super) shortage: Arc<Shortage>,
    pub(super) context: Context,
}

#[derive(Debug)]
struct Server {
    origin: Origin,
    settings: Settings,
    real_servers: RealServers,
    next: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Socket {
    /// TCP without a usable real server: connections are refused.
    Refusing(TcpSocket),
    /// A task accepts connections or receives datagrams. What listens is given back.
    Serving {
        stop: CancellationToken,
        task: JoinHandle<Option<TcpListener>>,
    },
    /// On the way from one to the other.
    Closed,
}

// === impl Place ===

impl Place {
    /// Binds the address. Nothing is accepted yet.
    pub(super) fn bind(
        frontend: Frontend,
        context: &Context,
        shortage: &Arc<Shortage>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            frontend,
            routes: ArcSwap::default(),
            shortage: Arc::clone(shortage),
            context: context.clone(),
        });
        let addr = frontend.socket_address();
        if context.loopback_only && !addr.ip().is_loopback() {
            let why = "only loopback addresses are served here";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let offset = context.low_port_offset;
        let (socket, bound) = match frontend.protocol {
            Protocol::Tcp => {
                let (socket, bound) = bind::or_above(addr, offset, bind::tcp)?;
                (Socket::Refusing(socket), bound)
            }
            Protocol::Udp => {
                let (socket, bound) = bind::or_above(addr, offset, bind::udp)?;
                let stop = context.stop.child_token();
                let serving = udp::serve(socket, Arc::clone(&shared), stop.clone());
                let task = tokio::spawn(async {
                    serving.await;
                    None
                });
                (Socket::Serving { stop, task }, bound)
            }
            Protocol::Sctp => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Self {
            frontend,
            bound,
            socket,
            servers: BTreeMap::new(),
            backends: BTreeMap::new(),
            shared,
        })
    }

    pub(super) fn add(&mut self, key: Key, server: &VirtualServer) -> Result<(), KernelError> {
        if self.servers.contains_key(&key.audience) {
            return Err(KernelError::Resync(format!("{key} is there already")));
        }
        for address in server.real_servers.addresses() {
            self.backends
                .entry(address)
                .or_insert_with(|| Backend::new(address));
        }
        let server = Server {
            origin: server.origin.clone(),
            settings: server.settings.clone(),
            real_servers: server.real_servers.clone(),
            next: Arc::default(),
        };
        self.servers.insert(key.audience, server);
        Ok(())
    }

    pub(super) fn edit(
        &mut self,
        key: &Key,
        origin: &Origin,
        settings: &Settings,
    ) -> Result<(), KernelError> {
        let server = self.server(key)?;
        server.origin = origin.clone();
        server.settings = settings.clone();
        Ok(())
    }

    pub(super) fn add_real_server(
        &mut self,
        key: &Key,
        address: SocketAddr,
        real: RealServer,
    ) -> Result<(), KernelError> {
        let server = self.server(key)?;
        if !server.real_servers.add(address, real) {
            return Err(KernelError::Resync(format!("{key} has {address} already")));
        }
        self.backends
            .entry(address)
            .or_insert_with(|| Backend::new(address));
        Ok(())
    }

    /// A real server, to be changed.
    pub(super) fn real_server(
        &mut self,
        key: &Key,
        address: SocketAddr,
    ) -> Result<&mut RealServer, KernelError> {
        let found = self.server(key)?.real_servers.get_mut(address);
        found.ok_or_else(|| missing(key, address))
    }

    pub(super) fn remove_real_server(
        &mut self,
        key: &Key,
        address: SocketAddr,
    ) -> Result<(), KernelError> {
        let removed = self.server(key)?.real_servers.remove(address);
        removed.ok_or_else(|| missing(key, address))?;
        self.drop_unused_backends();
        Ok(())
    }

    /// Takes out one of the virtual servers.
    pub(super) fn remove(&mut self, key: &Key) -> Result<(), KernelError> {
        self.server(key)?;
        self.servers.remove(&key.audience);
        self.drop_unused_backends();
        Ok(())
    }

    /// Whether no virtual server is left.
    pub(super) fn is_unused(&self) -> bool {
        self.servers.is_empty()
    }

    /// Whether its socket is served.
    pub(super) fn is_alive(&self) -> bool {
        match &self.socket {
            Socket::Refusing(_) => true,
            Socket::Serving { task, .. } => !task.is_finished(),
            Socket::Closed => false,
        }
    }

    /// Its virtual servers.
    pub(super) fn observe(&self) -> Vec<(Key, ObservedServer)> {
        let active = |address| Some((address, self.active(address))).filter(|(_, all)| *all > 0);
        let observe = |(audience, server): (&Audience, &Server)| {
            let key = Key {
                frontend: self.frontend,
                audience: *audience,
            };
            let observed = ObservedServer {
                owner: Owner::Ours,
                origin: Some(server.origin.clone()),
                settings: server.settings.clone(),
                real_servers: server.real_servers.clone(),
                connections: server.real_servers.addresses().filter_map(active).collect(),
                bound: Some(self.bound),
            };
            (key, observed)
        };
        self.servers.iter().map(observe).collect()
    }

    /// Connections of one real server; 0 if it is none of this virtual server.
    pub(super) fn connections(&self, key: &Key, address: SocketAddr) -> u64 {
        let is_there = self
            .servers
            .get(&key.audience)
            .is_some_and(|server| server.real_servers.contains(address));
        if is_there { self.active(address) } else { 0 }
    }

    fn active(&self, address: SocketAddr) -> u64 {
        let backend = self.backends.get(&address);
        backend.map_or(0, |backend| backend.active())
    }

    /// Lets traffic follow the books. After a failure the place is of no use any more.
    pub(super) async fn publish(
        &mut self,
        inside: &Arc<BTreeSet<IpNet>>,
        affinity_of: &mut (dyn FnMut(&ServicePortName) -> Arc<Affinity> + Send),
    ) -> io::Result<()> {
        let mut routes = Routes {
            networks: Arc::clone(inside),
            ..Routes::default()
        };
        for (audience, server) in &self.servers {
            let pool = Some(self.pool(server, affinity_of));
            match audience {
                Audience::Everyone => routes.everyone = pool,
                Audience::Inside => routes.inside = pool,
            }
        }
        let is_usable = routes.is_usable();
        self.shared.routes.store(Arc::new(routes));
        if self.frontend.protocol != Protocol::Tcp {
            return Ok(());
        }
        match (&self.socket, is_usable) {
            (Socket::Refusing(_), true) => self.listen(),
            (Socket::Serving { .. }, false) => self.refuse().await,
            _ => Ok(()),
        }
    }

    /// Whose it is, to be named in an error.
    pub(super) fn owner(&self) -> String {
        let first = self.servers.values().next();
        first.map_or_else(String::new, |server| owner(&server.origin))
    }

    /// Ends everything, established connections too.
    pub(super) async fn close(&mut self) {
        self.end_task().await;
        self.drop_unused_backends();
    }

    fn pool(
        &self,
        server: &Server,
        affinity_of: &mut (dyn FnMut(&ServicePortName) -> Arc<Affinity> + Send),
    ) -> Pool {
        let settings = &server.settings;
        let persistence = settings.persistence.map(|seconds| Persistence {
            timeout: Duration::from_secs(seconds.into()),
            affinity: affinity_of(&server.origin.service_port),
        });
        let backend = |(address, real): &(SocketAddr, RealServer)| {
            Some((Arc::clone(self.backends.get(address)?), real.weight))
        };
        Pool::new(PoolParts {
            scheduler: settings.scheduler,
            source_ranges: Arc::clone(&settings.source_ranges),
            persistence,
            backends: server.real_servers.iter().filter_map(backend).collect(),
            next: Arc::clone(&server.next),
        })
    }

    fn listen(&mut self) -> io::Result<()> {
        let Socket::Refusing(socket) = std::mem::replace(&mut self.socket, Socket::Closed) else {
            return Ok(());
        };
        let listener = socket.listen(BACKLOG)?;
        let stop = self.shared.context.stop.child_token();
        let serving = tcp::serve(listener, Arc::clone(&self.shared), stop.clone());
        let task = tokio::spawn(async { Some(serving.await) });
        self.socket = Socket::Serving { stop, task };
        debug!(frontend = %self.frontend, "listening");
        Ok(())
    }

    async fn refuse(&mut self) -> io::Result<()> {
        let socket = match self.end_task().await {
            Some(listener) => bind::no_listener(listener)?,
            None => bind::tcp(self.bound)?,
        };
        self.socket = Socket::Refusing(socket);
        debug!(frontend = %self.frontend, "refusing: no usable real server");
        Ok(())
    }

    /// What listened until now, if anything did.
    async fn end_task(&mut self) -> Option<TcpListener> {
        let before = std::mem::replace(&mut self.socket, Socket::Closed);
        let Socket::Serving { stop, task } = before else {
            return None;
        };
        stop.cancel();
        task.await.unwrap_or_else(|error| {
            debug!(%error, frontend = %self.frontend, "socket task failed");
            None
        })
    }

    fn server(&mut self, key: &Key) -> Result<&mut Server, KernelError> {
        self.servers
            .get_mut(&key.audience)
            .ok_or_else(|| KernelError::Resync(format!("{key} is not served")))
    }

    fn drop_unused_backends(&mut self) {
        let servers = &self.servers;
        self.backends.retain(|address, backend| {
            let is_used = servers.values().any(|s| s.real_servers.contains(*address));
            if !is_used {
                backend.close();
            }
            is_used
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Socket::Serving { stop, .. } = &self.socket {
            stop.cancel();
        }
    }
}

/// Whose a virtual server is, to be named in an error.
pub(super) fn owner(origin: &Origin) -> String {
    format!("Service {}", origin.service_port)
}

fn missing(key: &Key, address: SocketAddr) -> KernelError {
    KernelError::Resync(format!("{key} has no {address}"))
}

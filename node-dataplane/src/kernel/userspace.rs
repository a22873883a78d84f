//! A kernel that is no kernel: this process listens on the virtual addresses and carries the traffic itself.
//!
//! A [`Place`] is one bound address with the one or two virtual servers there (for everyone, for inside clients). Steps
//! change its books; at the end of a batch what changed is published as one new [`pool::Routes`] value, which the accept
//! loop and the datagram loop read without a lock. A change of endpoints therefore touches no socket. A TCP address
//! without a usable real server is kept bound but does not listen, so that clients are refused at once.

mod affinity;
mod backend;
mod bind;
mod limits;
mod place;
mod pool;
mod splice;
mod tcp;
mod udp;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use ipnet::IpNet;
use meshlite_runtime::listen::ListenError;
use meshlite_snapshot::Protocol;
use tokio_util::sync::CancellationToken;

use self::{affinity::Affinity, limits::Shortage, place::Place};
use super::{Capabilities, Kernel, KernelError};
use crate::{
    metrics::Traffic,
    plan::Step,
    table::{Frontend, Key, LocalDetector, Observed, Scheduler, ServicePortName, VirtualServer},
};

/// The user-space proxy.
#[derive(Debug)]
pub(crate) struct Userspace {
    places: BTreeMap<Frontend, Place>,
    inside: Arc<BTreeSet<IpNet>>,
    /// Only remembered: a proxy is the source of all that it forwards, so whom to masquerade is no question.
    pods: LocalDetector,
    affinities: BTreeMap<ServicePortName, Weak<Affinity>>,
    shortage: Arc<Shortage>,
    context: Context,
}

/// What every socket of the proxy needs.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Where a port below 1024 goes that may not be bound.
    pub(crate) low_port_offset: Option<u16>,
    /// No other address is bound.
    pub(crate) loopback_only: bool,
    /// How long a UDP flow lives without a datagram.
    pub(crate) udp_idle_timeout: Duration,
    /// UDP flows of one address. Beyond that the one silent for longest makes room.
    pub(crate) max_udp_flows: usize,
    /// What is counted.
    pub(crate) traffic: Traffic,
    /// Ends every socket and connection.
    pub(crate) stop: CancellationToken,
}

// === impl Userspace ===

impl Userspace {
    /// A proxy that serves nothing yet. It ends with `context.stop`, and when it is dropped.
    pub(crate) fn new(context: Context) -> Self {
        meshlite_runtime::open_files::raise_limit();
        Self {
            places: BTreeMap::new(),
            inside: Arc::default(),
            pods: LocalDetector::None,
            affinities: BTreeMap::new(),
            shortage: Arc::default(),
            context: Context {
                stop: context.stop.child_token(),
                ..context
            },
        }
    }

    async fn change(&mut self, step: &Step) -> Result<(), KernelError> {
        match step {
            Step::SetInside { networks, pods } => {
                self.inside = Arc::clone(networks);
                self.pods = pods.clone();
                Ok(())
            }
            Step::AddVirtualServer { key, server } => self.add(*key, server),
            Step::EditVirtualServer {
                key,
                origin,
                settings,
            } => self.place(key)?.edit(key, origin, settings),
            Step::AddRealServer { key, address, real } => {
                self.place(key)?.add_real_server(key, *address, *real)
            }
            Step::EditRealServer { key, address, real } => {
                *self.place(key)?.real_server(key, *address)? = *real;
                Ok(())
            }
            Step::DrainRealServer { key, address } => {
                self.place(key)?.real_server(key, *address)?.weight = 0;
                Ok(())
            }
            Step::RemoveRealServer { key, address } => {
                self.place(key)?.remove_real_server(key, *address)
            }
            Step::RemoveVirtualServer { key } => {
                let place = self.place(key)?;
                place.remove(key)?;
                if place.is_unused() {
                    place.close().await;
                    self.places.remove(&key.frontend);
                }
                Ok(())
            }
        }
    }

    fn add(&mut self, key: Key, server: &VirtualServer) -> Result<(), KernelError> {
        if let Some(place) = self.places.get_mut(&key.frontend) {
            return place.add(key, server);
        }
        let mut place = Place::bind(key.frontend, &self.context, &self.shortage)
            .map_err(|error| not_bound(&place::owner(&server.origin), key.frontend, error))?;
        place.add(key, server)?;
        self.places.insert(key.frontend, place);
        Ok(())
    }

    fn place(&mut self, key: &Key) -> Result<&mut Place, KernelError> {
        self.places
            .get_mut(&key.frontend)
            .ok_or_else(|| KernelError::Resync(format!("{} is not served", key.frontend)))
    }

    /// Makes what the steps changed visible to traffic.
    async fn publish(&mut self, frontend: Frontend) -> Result<(), KernelError> {
        let Some(place) = self.places.get_mut(&frontend) else {
            return Ok(());
        };
        let affinities = &mut self.affinities;
        let mut affinity_of = |name: &ServicePortName| {
            if let Some(affinity) = affinities.get(name).and_then(Weak::upgrade) {
                return affinity;
            }
            let affinity = Arc::default();
            affinities.insert(name.clone(), Arc::downgrade(&affinity));
            affinity
        };
        let published = place.publish(&self.inside, &mut affinity_of).await;
        let Err(error) = published else {
            return Ok(());
        };
        let error = not_bound(&place.owner(), frontend, error);
        // Not there for clients, so not there for the next read either, which adds it anew.
        self.places.remove(&frontend);
        Err(error)
    }
}

impl Kernel for Userspace {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "userspace",
            protocols: vec![Protocol::Tcp, Protocol::Udp],
            schedulers: vec![Scheduler::Rr, Scheduler::Wrr, Scheduler::Lc, Scheduler::Wlc],
            // Each is bound: what is bound to all leaves no room for a Service that has the same port on an address of its own,
            // and the answer to a datagram must come from the address that it was sent to.
            every_node_address: Vec::new(),
            is_atomic: false,
            needs_drains: true,
        }
    }

    async fn read(&mut self) -> Result<Observed, KernelError> {
        // A socket whose task is gone serves nobody.
        self.places.retain(|_, place| place.is_alive());
        Ok(Observed {
            inside: Arc::clone(&self.inside),
            pods: self.pods.clone(),
            virtual_servers: self.places.values().flat_map(Place::observe).collect(),
            is_carried_elsewhere: false,
        })
    }

    async fn apply(&mut self, steps: &[Step]) -> Vec<Result<(), KernelError>> {
        let mut outcomes = Vec::with_capacity(steps.len());
        // The last step of each place that changed answers for what follows from it.
        let mut touched = BTreeMap::new();
        for (number, step) in steps.iter().enumerate() {
            let outcome = self.change(step).await;
            if outcome.is_ok() {
                match step.key() {
                    Some(key) => drop(touched.insert(key.frontend, number)),
                    None => touched.extend(self.places.keys().map(|place| (*place, number))),
                }
            }
            outcomes.push(outcome);
        }
        for (frontend, number) in touched {
            if let Err(error) = self.publish(frontend).await {
                outcomes[number] = Err(error);
            }
        }
        self.affinities
            .retain(|_, affinity| affinity.strong_count() > 0);
        outcomes
    }

    async fn connections(&mut self, of: &[(Key, SocketAddr)]) -> Result<Vec<u64>, KernelError> {
        let connections = |(key, address): &(Key, SocketAddr)| {
            let place = self.places.get(&key.frontend);
            place.map_or(0, |place| place.connections(key, *address))
        };
        Ok(of.iter().map(connections).collect())
    }
}

impl Drop for Userspace {
    fn drop(&mut self) {
        self.context.stop.cancel();
    }
}

fn not_bound(owner: &str, frontend: Frontend, error: io::Error) -> KernelError {
    let (kind, addr) = (error.kind(), frontend.socket_address());
    let message = ListenError::new(owner, addr, error).to_string();
    match kind {
        io::ErrorKind::Unsupported => KernelError::Unsupported(message),
        io::ErrorKind::AddrNotAvailable => {
            let ip = addr.ip();
            KernelError::Retry(format!(
                "{message}; `ip route add local {ip} dev lo` makes it one"
            ))
        }
        _ => KernelError::Retry(message),
    }
}

#[cfg(test)]
mod tests;

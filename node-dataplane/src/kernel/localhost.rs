//! NodePorts on this host's loopback: a kernel leaves them out, so this process carries them beside it.
//!
//! ```text
//! steps ──> the kernel ──> what succeeded, of TCP node ports ──> the same on 127.0.0.1 and ::1, in user space
//! ```
//! What comes from a loopback address cannot be forwarded without a setting that opens loopback to neighbours
//! (`route_localnet`), so that a proxy is the only safe way. UDP is left out: nobody could tell when a client is gone.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use meshlite_snapshot::{AddressFamily, Protocol};
use tokio::time::Instant;
use tracing::warn;

use super::{Applied, Begun, Capabilities, Kernel, KernelError, userspace::Userspace};
use crate::{
    plan::{Drains, Step, plan},
    table::{
        Key, LocalDetector, Observed, ObservedServer, Origin, ServicePortName, Table, VipKind,
        VirtualAddress, VirtualServer,
    },
};

/// A kernel, with its node ports on loopback as well.
#[derive(Debug)]
pub(crate) struct Localhost<K> {
    kernel: K,
    proxy: Userspace,
    /// TCP node ports, as they are programmed.
    node_ports: Observed,
    drains: Drains,
    drain_timeout: Duration,
}

impl<K: Kernel> Localhost<K> {
    /// `drain_timeout` is how long a removed endpoint keeps connections that the proxy has.
    pub(crate) fn new(kernel: K, proxy: Userspace, drain_timeout: Duration) -> Self {
        Self {
            kernel,
            proxy,
            node_ports: Observed::default(),
            drains: Drains::new(),
            drain_timeout,
        }
    }

    /// Makes the proxy serve what the kernel does. What cannot be is said, and tried again the next time.
    async fn follow(&mut self) {
        let wanted = on_loopback(&self.node_ports);
        let found = match self.proxy.read().await {
            Ok(found) => found,
            Err(error) => {
                warn!(%error, "node ports on localhost cannot be read");
                return;
            }
        };
        let now = Instant::now();
        let plan = plan(&wanted, &found, &self.drains, self.drain_timeout, now);
        for phase in plan.steps.chunk_by(|a, b| a.phase() == b.phase()) {
            let results = self.proxy.apply(phase).await;
            for (step, result) in phase.iter().zip(results) {
                if let Err(error) = result {
                    warn!(%step, %error, "node port is not served on localhost");
                }
            }
        }
        self.drains = plan.drains;
    }

    /// Serves node ports as these steps have left them.
    async fn heed(&mut self, steps: &[Step], results: &[Result<(), KernelError>]) {
        let mut is_touched = false;
        for (step, result) in steps.iter().zip(results) {
            is_touched |= result.is_ok() && self.note(step);
        }
        if is_touched {
            self.follow().await;
        }
    }

    /// Notes a step that succeeded. Says whether it is about a node port.
    fn note(&mut self, step: &Step) -> bool {
        let is_ours = match step {
            Step::SetInside { .. } => true,
            Step::AddVirtualServer { key, server } => is_node_port(key, Some(&server.origin)),
            _ => step
                .key()
                .is_some_and(|key| self.node_ports.virtual_servers.contains_key(key)),
        };
        // What does not fit is put right by the next read.
        is_ours && step.apply_to(&mut self.node_ports).is_ok()
    }
}

impl<K: Kernel> Kernel for Localhost<K> {
    fn capabilities(&self) -> Capabilities {
        self.kernel.capabilities()
    }

    async fn read(&mut self) -> Result<Observed, KernelError> {
        let observed = self.kernel.read().await?;
        let servers = observed.virtual_servers.iter();
        let node_ports = servers.filter(|(key, it)| is_node_port(key, it.origin.as_ref()));
        self.node_ports = Observed {
            inside: Arc::clone(&observed.inside),
            pods: observed.pods.clone(),
            virtual_servers: node_ports.map(|(key, it)| (*key, it.clone())).collect(),
            is_carried_elsewhere: false,
        };
        self.follow().await;
        Ok(observed)
    }

    async fn is_as_left(&mut self) -> bool {
        self.follow().await;
        self.kernel.is_as_left().await
    }

    async fn apply(&mut self, steps: &[Step]) -> Vec<Result<(), KernelError>> {
        let results = self.kernel.apply(steps).await;
        self.heed(steps, &results).await;
        results
    }

    async fn begin(&mut self, steps: Vec<Step>) -> Begun {
        self.kernel.begin(steps).await
    }

    async fn finish(&mut self, begun: Begun) -> Applied {
        let applied = self.kernel.finish(begun).await;
        self.heed(&applied.steps, &applied.results).await;
        applied
    }

    async fn tidy(&mut self) {
        self.kernel.tidy().await;
    }

    async fn connections(&mut self, of: &[(Key, SocketAddr)]) -> Result<Vec<u64>, KernelError> {
        self.kernel.connections(of).await
    }
}

fn is_node_port(key: &Key, origin: Option<&Origin>) -> bool {
    let is_everywhere = matches!(key.frontend.address, VirtualAddress::EveryNodeAddress(_));
    let is_said = origin.is_some_and(|origin| origin.kind == VipKind::NodePort);
    key.frontend.protocol == Protocol::Tcp && (is_everywhere || is_said)
}

/// The same node ports on loopback addresses: once each, whichever addresses of the node they are on.
fn on_loopback(node_ports: &Observed) -> Table {
    let mut table = Table {
        inside: Arc::clone(&node_ports.inside),
        pods: LocalDetector::None,
        virtual_servers: BTreeMap::new(),
    };
    for (key, server) in &node_ports.virtual_servers {
        let mut key = *key;
        key.frontend.address = VirtualAddress::Ip(loopback(key.frontend.address));
        let servers = &mut table.virtual_servers;
        servers.entry(key).or_insert_with(|| wanted(&key, server));
    }
    table
}

fn wanted(key: &Key, server: &ObservedServer) -> VirtualServer {
    // Who remembers nothing after a restart says so by the place.
    let unknown = || Origin {
        service_port: ServicePortName {
            namespace: "".into(),
            service: key.to_string().into(),
            port: "".into(),
        },
        kind: VipKind::NodePort,
    };
    VirtualServer {
        origin: server.origin.clone().unwrap_or_else(unknown),
        settings: server.settings.clone(),
        real_servers: server.real_servers.clone(),
    }
}

fn loopback(address: VirtualAddress) -> IpAddr {
    let family = match address {
        VirtualAddress::EveryNodeAddress(family) => family,
        VirtualAddress::Ip(ip) => AddressFamily::of(ip),
    };
    match family {
        AddressFamily::Ipv4 => Ipv4Addr::LOCALHOST.into(),
        AddressFamily::Ipv6 => Ipv6Addr::LOCALHOST.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernel::memory::Memory,
        testing::{key, mk_table, server},
    };

    #[test]
    fn a_node_port_of_several_addresses_is_on_loopback_once_for_each_family() {
        let mut servers = BTreeMap::new();
        for place in [
            "TCP 192.0.2.1:30001",
            "TCP 192.0.2.2:30001",
            "TCP [fd00::1]:30001",
        ] {
            let mut server = server(&[("10.244.0.1:80", 1)]);
            server.origin.kind = VipKind::NodePort;
            servers.insert(key(place), server);
        }
        servers.insert(key("TCP 10.96.0.1:80"), server(&[]));
        let mut udp = server(&[]);
        udp.origin.kind = VipKind::NodePort;
        servers.insert(key("UDP 192.0.2.1:30001"), udp);
        let all = crate::testing::observed(&mk_table(servers), 0);
        let servers = all.virtual_servers.into_iter();
        let node_ports = Observed {
            virtual_servers: servers
                .filter(|(key, it)| is_node_port(key, it.origin.as_ref()))
                .collect(),
            ..Observed::default()
        };
        let table = on_loopback(&node_ports);
        let keys: Vec<_> = table.virtual_servers.keys().map(Key::to_string).collect();
        assert_eq!(keys, ["TCP 127.0.0.1:30001", "TCP [::1]:30001"]);
    }

    #[tokio::test]
    async fn node_ports_of_the_kernel_are_served_on_loopback_and_go_with_it() {
        let port = crate::testing::free_place([127, 0, 0, 1], Protocol::Tcp)
            .frontend
            .port;
        let mut place = key("TCP 192.0.2.1:1");
        place.frontend.port = port;
        let mut web = server(&[("127.0.0.1:1", 1)]);
        web.origin.kind = VipKind::NodePort;
        let proxy = crate::kernel::contract::userspace();
        let mut kernel = Localhost::new(Memory::default(), proxy, Duration::ZERO);
        for (table, is_served) in [(mk_table([(place, web)]), true), (mk_table([]), false)] {
            // What is drained in one pass is removed in the next, here and in the proxy.
            for _ in 0..4 {
                let found = kernel.read().await.unwrap();
                let plan = plan(
                    &table,
                    &found,
                    &Drains::new(),
                    Duration::ZERO,
                    Instant::now(),
                );
                for result in kernel.apply(&plan.steps).await {
                    result.unwrap();
                }
            }
            let served = kernel.proxy.read().await.unwrap().virtual_servers;
            let served: Vec<_> = served.keys().map(Key::to_string).collect();
            let wanted = format!("TCP 127.0.0.1:{port}");
            assert_eq!(served, if is_served { vec![wanted] } else { vec![] });
        }
    }
}

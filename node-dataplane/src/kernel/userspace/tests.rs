//! Real traffic over loopback: what clients of a virtual server see while its table changes.

mod shortage;
mod tcp;
mod udp;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use meshlite_snapshot::Protocol;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Context, Userspace};
use crate::{
    kernel::Kernel,
    metrics::Traffic,
    plan::{Drains, Step, plan},
    table::{Key, Observed, VirtualServer},
    testing::{free_place, mk_table, own_loopback, real, server},
};

const DEADLINE: Duration = Duration::from_secs(10);

/// One virtual server on an address of its own, and the loop's part of programming it.
struct Proxy {
    kernel: Userspace,
    key: Key,
    server: VirtualServer,
    drains: Drains,
    drain_timeout: Duration,
    inside: Arc<BTreeSet<IpNet>>,
}

impl Proxy {
    fn new(protocol: Protocol) -> Self {
        Self::with_idle_timeout(protocol, Duration::from_secs(30))
    }

    fn with_idle_timeout(protocol: Protocol, udp_idle_timeout: Duration) -> Self {
        let context = Context {
            low_port_offset: None,
            loopback_only: false,
            udp_idle_timeout,
            max_udp_flows: 4,
            traffic: Traffic::default(),
            stop: CancellationToken::new(),
        };
        Self {
            kernel: Userspace::new(context),
            key: free_place(own_loopback(), protocol),
            server: server(&[]),
            drains: Drains::new(),
            drain_timeout: Duration::from_mins(15),
            inside: Arc::default(),
        }
    }

    fn addr(&self) -> SocketAddr {
        self.key.frontend.socket_address()
    }

    /// Programs the virtual server with these real servers.
    async fn serve(&mut self, real_servers: &[SocketAddr]) {
        let mut server = self.server.clone();
        server.real_servers = real_servers.iter().map(|a| (*a, real(1))).collect();
        self.program([(self.key, server)]).await;
    }

    async fn program(&mut self, servers: impl IntoIterator<Item = (Key, VirtualServer)>) {
        let mut table = mk_table(servers);
        table.inside = Arc::clone(&self.inside);
        let found = self.observe().await;
        let plan = plan(
            &table,
            &found,
            &self.drains,
            self.drain_timeout,
            Instant::now(),
        );
        for (step, result) in plan.steps.iter().zip(self.kernel.apply(&plan.steps).await) {
            assert_eq!(result, Ok(()), "{step}");
        }
        self.drains = plan.drains;
    }

    async fn observe(&mut self) -> Observed {
        self.kernel.read().await.unwrap()
    }

    async fn connections(&mut self) -> BTreeMap<SocketAddr, u64> {
        let found = self.observe().await;
        let Some(server) = found.virtual_servers.get(&self.key) else {
            return BTreeMap::new();
        };
        let all = server.real_servers.addresses();
        all.map(|it| (it, server.connections(it))).collect()
    }

    /// Waits until the real servers have these connections.
    async fn wait_for_connections(&mut self, expected: &[(SocketAddr, u64)]) {
        let expected: BTreeMap<_, _> = expected.iter().copied().collect();
        let start = Instant::now();
        loop {
            let now = self.connections().await;
            if now == expected {
                return;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "connections are {now:?}, not {expected:?}"
            );
            sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_proxy_for_loopback_only_leaves_every_other_address_alone() {
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.kernel.context.loopback_only = true;
    proxy.serve(&[]).await;
    let everywhere = Step::AddVirtualServer {
        key: free_place([0, 0, 0, 0], Protocol::Tcp),
        server: server(&[]),
    };
    let refused = proxy
        .kernel
        .apply(&[everywhere])
        .await
        .pop()
        .unwrap()
        .unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("only loopback addresses are served here"),
        "{refused}"
    );
}

/// The result, within the deadline.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = timeout(DEADLINE, future).await;
    result.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
}

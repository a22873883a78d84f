//! TCP through the user-space proxy.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;
use crate::{table::Scheduler, testing::key};

/// Greets each connection with its own address and a newline, then sends back what it gets. Answers the end of the
/// client's stream with `bye` and the end of its own.
struct Backend {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Backend {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(greet(stream, addr));
            }
        });
        Self { addr, task }
    }

    /// Stops listening. Its connections live on.
    async fn stop(self) -> SocketAddr {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        self.addr
    }
}

async fn greet(mut stream: TcpStream, addr: SocketAddr) -> io::Result<()> {
    stream.write_all(format!("{addr}\n").as_bytes()).await?;
    let (mut reader, mut writer) = stream.split();
    tokio::io::copy(&mut reader, &mut writer).await?;
    writer.write_all(b"bye").await?;
    writer.shutdown().await
}

/// A connection through the proxy, and the backend that greeted it.
struct Client {
    stream: TcpStream,
    backend: SocketAddr,
}

impl Client {
    async fn connect(addr: SocketAddr) -> io::Result<Self> {
        soon("a greeting", async {
            let mut stream = TcpStream::connect(addr).await?;
            let mut line = Vec::new();
            loop {
                match stream.read_u8().await? {
                    b'\n' => break,
                    byte => line.push(byte),
                }
            }
            let backend = String::from_utf8(line).unwrap().parse().unwrap();
            Ok(Self { stream, backend })
        })
        .await
    }

    async fn echo(&mut self, text: &str) -> io::Result<()> {
        soon("an echo", async {
            self.stream.write_all(text.as_bytes()).await?;
            let mut answer = vec![0; text.len()];
            self.stream.read_exact(&mut answer).await?;
            assert_eq!(answer, text.as_bytes());
            Ok(())
        })
        .await
    }
}

async fn three_backends() -> ([Backend; 3], [SocketAddr; 3]) {
    let backends = [
        Backend::start().await,
        Backend::start().await,
        Backend::start().await,
    ];
    let addrs = backends.each_ref().map(|backend| backend.addr);
    (backends, addrs)
}

async fn who_answers(addr: SocketAddr, times: usize) -> BTreeMap<SocketAddr, usize> {
    let mut count = BTreeMap::new();
    for _ in 0..times {
        let client = Client::connect(addr).await.unwrap();
        *count.entry(client.backend).or_default() += 1;
    }
    count
}

#[tokio::test]
async fn connections_spread_over_three_backends() {
    let (_backends, addrs) = three_backends().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.serve(&addrs).await;
    let count = who_answers(proxy.addr(), 12).await;
    assert_eq!(count, addrs.map(|addr| (addr, 4)).into());
}

#[tokio::test]
async fn least_connection_fills_the_idle_backend() {
    let (_backends, addrs) = three_backends().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.server.settings.scheduler = Scheduler::Lc;
    proxy.serve(&addrs).await;
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(Client::connect(proxy.addr()).await.unwrap());
    }
    proxy
        .wait_for_connections(&addrs.map(|addr| (addr, 2)))
        .await;
    held.retain(|client| client.backend != addrs[1]);
    let [a, b, c] = addrs;
    proxy.wait_for_connections(&[(a, 2), (b, 0), (c, 2)]).await;
    let first = Client::connect(proxy.addr()).await.unwrap();
    let second = Client::connect(proxy.addr()).await.unwrap();
    assert_eq!([first.backend, second.backend], [b, b]);
}

#[tokio::test]
async fn affinity_can_be_switched_on_and_off_while_traffic_flows() {
    let (_backends, addrs) = three_backends().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.serve(&addrs).await;
    let mut witness = Client::connect(proxy.addr()).await.unwrap();
    assert_eq!(who_answers(proxy.addr(), 6).await.len(), 3);
    proxy.server.settings.persistence = Some(10_800);
    proxy.serve(&addrs).await;
    assert_eq!(who_answers(proxy.addr(), 6).await.len(), 1);
    proxy.server.settings.persistence = None;
    proxy.serve(&addrs).await;
    assert_eq!(who_answers(proxy.addr(), 6).await.len(), 3);
    witness.echo("still here").await.unwrap();
}

#[tokio::test]
async fn a_sticky_client_moves_when_its_endpoint_is_removed() {
    let (_backends, addrs) = three_backends().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.server.settings.persistence = Some(10_800);
    proxy.serve(&addrs).await;
    let home = Client::connect(proxy.addr()).await.unwrap().backend;
    let rest: Vec<_> = addrs.into_iter().filter(|addr| *addr != home).collect();
    proxy.serve(&rest).await;
    let moved = who_answers(proxy.addr(), 4).await;
    assert_eq!(moved.len(), 1);
    assert!(!moved.contains_key(&home));
}

#[tokio::test]
async fn removed_endpoint_keeps_its_established_connections_while_new_ones_go_elsewhere() {
    let (_backends, [a, b, _]) = three_backends().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.serve(&[a]).await;
    let mut old = Client::connect(proxy.addr()).await.unwrap();
    proxy.serve(&[b]).await;
    assert_eq!(who_answers(proxy.addr(), 3).await, [(b, 3)].into());
    old.echo("established").await.unwrap();
    proxy.wait_for_connections(&[(a, 1), (b, 0)]).await;
    drop(old);
    proxy.wait_for_connections(&[(a, 0), (b, 0)]).await;
    proxy.serve(&[b]).await;
    proxy.wait_for_connections(&[(b, 0)]).await;
}

#[tokio::test]
async fn a_drain_ends_at_its_bound_with_a_reset() {
    let (_backends, [a, b, _]) = three_backends().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.serve(&[a]).await;
    let mut old = Client::connect(proxy.addr()).await.unwrap();
    proxy.serve(&[b]).await;
    old.echo("draining").await.unwrap();
    proxy.drain_timeout = Duration::ZERO;
    proxy.serve(&[b]).await;
    let end = soon("the end of the drain", old.stream.read_u8()).await;
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    proxy.wait_for_connections(&[(b, 0)]).await;
}

#[tokio::test]
async fn a_deleted_service_refuses_new_connections_and_lets_established_ones_end() {
    let backend = Backend::start().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.serve(&[backend.addr]).await;
    let mut old = Client::connect(proxy.addr()).await.unwrap();
    proxy.program([]).await;
    let error = TcpStream::connect(proxy.addr()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    old.echo("last words").await.unwrap();
    drop(old);
    proxy.wait_for_connections(&[(backend.addr, 0)]).await;
    proxy.program([]).await;
    assert!(proxy.observe().await.virtual_servers.is_empty());
}

#[tokio::test]
async fn an_endpoint_that_comes_back_while_it_drains_gets_new_connections() {
    let (_backends, [a, b, _]) = three_backends().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.serve(&[a, b]).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(Client::connect(proxy.addr()).await.unwrap());
    }
    proxy.serve(&[b]).await;
    assert_eq!(who_answers(proxy.addr(), 2).await, [(b, 2)].into());
    proxy.serve(&[a, b]).await;
    assert_eq!(who_answers(proxy.addr(), 4).await, [(a, 2), (b, 2)].into());
    for client in &mut held {
        client.echo("undisturbed").await.unwrap();
    }
}

#[tokio::test]
async fn a_half_closed_connection_still_carries_the_answer() {
    let backend = Backend::start().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.serve(&[backend.addr]).await;
    let mut client = Client::connect(proxy.addr()).await.unwrap();
    client.stream.write_all(b"request").await.unwrap();
    client.stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let read = client.stream.read_to_end(&mut answer);
    soon("the rest of the answer", read).await.unwrap();
    assert_eq!(answer, b"requestbye");
}

#[tokio::test]
async fn without_endpoints_connections_are_refused_until_one_comes() {
    let backend = Backend::start().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    let refused = |addr| async move {
        let error = TcpStream::connect(addr).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    };
    proxy.serve(&[]).await;
    refused(proxy.addr()).await;
    proxy.serve(&[backend.addr]).await;
    let mut established = Client::connect(proxy.addr()).await.unwrap();
    proxy.serve(&[]).await;
    refused(proxy.addr()).await;
    established.echo("draining").await.unwrap();
    proxy.serve(&[backend.addr]).await;
    Client::connect(proxy.addr()).await.unwrap();
    established.echo("back").await.unwrap();
}

#[tokio::test]
async fn a_failed_connect_is_retried_on_another_endpoint() {
    let (backends, [a, b, c]) = three_backends().await;
    let [first, second, _third] = backends;
    let (dead, dead_too) = (first.stop().await, second.stop().await);
    assert_eq!((dead, dead_too), (a, b));
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.serve(&[a, b, c]).await;
    assert_eq!(who_answers(proxy.addr(), 6).await, [(c, 6)].into());
    proxy.serve(&[a]).await;
    let error = Client::connect(proxy.addr()).await.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "nobody left");
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_given_up_for_another() {
    // A listener whose queue is full: its host drops further SYNs, as one that is gone would.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = socket.listen(1).unwrap();
    let silent_addr = silent.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(queued) =
        timeout(Duration::from_millis(200), TcpStream::connect(silent_addr)).await
    {
        queue.push(queued.unwrap());
    }
    let good = Backend::start().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.serve(&[silent_addr, good.addr]).await;
    for _ in 0..2 {
        let client = Client::connect(proxy.addr()).await.unwrap();
        assert_eq!(client.backend, good.addr);
    }
}

#[tokio::test]
async fn affinity_is_shared_by_all_addresses_of_a_service_port() {
    let (_backends, addrs) = three_backends().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.server.settings.persistence = Some(60);
    let other = free_place(own_loopback(), Protocol::Tcp);
    let mut server = proxy.server.clone();
    server.real_servers = addrs.map(|addr| (addr, real(1))).into();
    let servers = [(proxy.key, server.clone()), (other, server)];
    proxy.program(servers).await;
    let home = Client::connect(proxy.addr()).await.unwrap().backend;
    let at_other = other.frontend.socket_address();
    assert_eq!(who_answers(at_other, 4).await, [(home, 4)].into());
}

#[tokio::test]
async fn inside_clients_use_the_virtual_server_that_is_for_them() {
    let (_backends, [a, b, _]) = three_backends().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    let server = |addr| VirtualServer {
        real_servers: [(addr, real(1))].into(),
        ..server(&[])
    };
    let servers = [
        (proxy.key, server(a)),
        (Key::inside(proxy.key.frontend), server(b)),
    ];
    proxy.program(servers.clone()).await;
    assert_eq!(who_answers(proxy.addr(), 2).await, [(a, 2)].into());
    proxy.inside = Arc::new(["127.0.0.0/8".parse().unwrap()].into());
    proxy.program(servers).await;
    let mut inside = Client::connect(proxy.addr()).await.unwrap();
    assert_eq!(inside.backend, b);
    proxy.program([(proxy.key, server(b))]).await;
    assert_eq!(who_answers(proxy.addr(), 2).await, [(b, 2)].into());
    inside.echo("its endpoint is still in use").await.unwrap();
}

#[tokio::test]
async fn ipv6_addresses_are_served() {
    let backend = Backend::start().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    let free = std::net::TcpListener::bind("[::1]:0").unwrap();
    let vip = free.local_addr().unwrap();
    drop(free);
    proxy.key = key(&format!("TCP {vip}"));
    proxy.serve(&[backend.addr]).await;
    assert_eq!(who_answers(vip, 2).await, [(backend.addr, 2)].into());
}

#[tokio::test]
async fn endpoint_changes_under_load_fail_no_connection() {
    let (_backends, addrs) = three_backends().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.serve(&addrs).await;
    let (addr, is_over) = (proxy.addr(), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let is_over = Arc::clone(&is_over);
            tokio::spawn(async move {
                let mut served = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let mut client = Client::connect(addr).await.unwrap();
                    client.echo("load").await.unwrap();
                    served += 1;
                }
                served
            })
        })
        .collect();
    for round in 0..60 {
        let mut some = addrs.to_vec();
        some.remove(round % 3);
        proxy.serve(&some).await;
        sleep(Duration::from_millis(5)).await;
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn clients_outside_the_source_ranges_are_dropped() {
    let backend = Backend::start().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.server.settings.source_ranges = Arc::new(["10.0.0.0/8".parse().unwrap()].into());
    proxy.serve(&[backend.addr]).await;
    assert!(Client::connect(proxy.addr()).await.is_err());
    proxy.server.settings.source_ranges = Arc::new(["127.0.0.1/32".parse().unwrap()].into());
    proxy.serve(&[backend.addr]).await;
    Client::connect(proxy.addr()).await.unwrap();
}

#[tokio::test]
async fn an_address_that_cannot_be_bound_is_an_error_and_works_once_it_is_free() {
    let backend = Backend::start().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    let squatter = std::net::TcpListener::bind(proxy.addr()).unwrap();
    let table = mk_table([(
        proxy.key,
        VirtualServer {
            real_servers: [(backend.addr, real(1))].into(),
            ..server(&[])
        },
    )]);
    let steps = plan(
        &table,
        &proxy.observe().await,
        &Drains::new(),
        Duration::ZERO,
        Instant::now(),
    )
    .steps;
    let results = proxy.kernel.apply(&steps).await;
    let error = results[0].clone().unwrap_err();
    assert!(error.may_pass(), "{error}");
    assert!(
        error.to_string().contains("Service default/web") && error.to_string().contains("in use"),
        "{error}"
    );
    assert!(proxy.observe().await.virtual_servers.is_empty());
    drop(squatter);
    proxy.serve(&[backend.addr]).await;
    Client::connect(proxy.addr()).await.unwrap();
}

#[tokio::test]
async fn dropping_the_kernel_ends_listeners_and_connections() {
    let backend = Backend::start().await;
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.serve(&[backend.addr]).await;
    let addr = proxy.addr();
    let mut client = Client::connect(addr).await.unwrap();
    drop(proxy);
    let end = soon("the end of the connection", client.stream.read_u8()).await;
    assert!(end.is_err());
    soon("the port is free", async {
        while std::net::TcpListener::bind(addr).is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

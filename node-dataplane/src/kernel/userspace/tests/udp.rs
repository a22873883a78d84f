//! UDP through the user-space proxy.

use tokio::{net::UdpSocket, task::JoinHandle};

use super::*;

/// Answers each datagram with its own address, a space, and the datagram.
struct Backend {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Backend {
    async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    async fn at(addr: SocketAddr) -> Self {
        let socket = UdpSocket::bind(addr).await.unwrap();
        let addr = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let mut answer = format!("{addr} ").into_bytes();
                answer.extend_from_slice(&buffer[..length]);
                if socket.send_to(&answer, peer).await.is_err() {
                    return;
                }
            }
        });
        Self { addr, task }
    }

    async fn stop(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

struct Client(UdpSocket);

impl Client {
    async fn new(proxy: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(proxy).await.unwrap();
        Self(socket)
    }

    /// Who answers; none if nobody does.
    async fn ask(&self, text: &str, patience: Duration) -> Option<SocketAddr> {
        self.0.send(text.as_bytes()).await.unwrap();
        let mut buffer = vec![0; 65_536];
        let received = timeout(patience, self.0.recv(&mut buffer)).await.ok()?;
        let answer = String::from_utf8(buffer[..received.unwrap()].to_vec()).unwrap();
        let (backend, echo) = answer.split_once(' ').unwrap();
        assert_eq!(echo, text);
        Some(backend.parse().unwrap())
    }

    /// Who answers, asked again where a datagram is lost.
    async fn backend(&self) -> SocketAddr {
        soon("an answer", async {
            loop {
                if let Some(backend) = self.ask("ping", Duration::from_secs(1)).await {
                    return backend;
                }
            }
        })
        .await
    }
}

#[tokio::test]
async fn a_flow_stays_with_its_backend_and_flows_spread() {
    let (one, two) = (Backend::start().await, Backend::start().await);
    let mut proxy = Proxy::new(Protocol::Udp);
    proxy.serve(&[one.addr, two.addr]).await;
    let (a, b) = (
        Client::new(proxy.addr()).await,
        Client::new(proxy.addr()).await,
    );
    let (home_a, home_b) = (a.backend().await, b.backend().await);
    assert_ne!(home_a, home_b);
    for _ in 0..3 {
        assert_eq!((a.backend().await, b.backend().await), (home_a, home_b));
    }
    proxy
        .wait_for_connections(&[(one.addr, 1), (two.addr, 1)])
        .await;
}

#[tokio::test]
async fn the_largest_datagram_passes() {
    let backend = Backend::start().await;
    let mut proxy = Proxy::new(Protocol::Udp);
    proxy.serve(&[backend.addr]).await;
    let client = Client::new(proxy.addr()).await;
    let large = "x".repeat(65_000);
    assert_eq!(client.ask(&large, DEADLINE).await, Some(backend.addr));
}

#[tokio::test]
async fn a_flow_moves_at_once_when_its_backend_is_removed() {
    let (one, two) = (Backend::start().await, Backend::start().await);
    let mut proxy = Proxy::new(Protocol::Udp);
    proxy.serve(&[one.addr]).await;
    let client = Client::new(proxy.addr()).await;
    assert_eq!(client.backend().await, one.addr);
    proxy.serve(&[two.addr]).await;
    assert_eq!(client.ask("next", DEADLINE).await, Some(two.addr));
    proxy.wait_for_connections(&[(two.addr, 1)]).await;
}

#[tokio::test]
async fn a_flow_moves_when_nobody_listens_at_its_backend_any_more() {
    let (one, two) = (Backend::start().await, Backend::start().await);
    let (addr_one, addr_two) = (one.addr, two.addr);
    let mut proxy = Proxy::new(Protocol::Udp);
    proxy.serve(&[addr_one]).await;
    let client = Client::new(proxy.addr()).await;
    assert_eq!(client.backend().await, addr_one);
    proxy.serve(&[addr_one, addr_two]).await;
    one.stop().await;
    // Datagrams until the answer "port unreachable" has come are lost; after that the flow moves.
    assert_eq!(client.backend().await, addr_two);
}

#[tokio::test]
async fn datagrams_without_endpoints_are_dropped_and_served_once_one_comes() {
    let backend = Backend::start().await;
    let mut proxy = Proxy::new(Protocol::Udp);
    proxy.serve(&[]).await;
    let client = Client::new(proxy.addr()).await;
    let nobody = client.ask("early", Duration::from_millis(100)).await;
    assert_eq!(nobody, None);
    proxy.serve(&[backend.addr]).await;
    assert_eq!(client.ask("late", DEADLINE).await, Some(backend.addr));
}

#[tokio::test]
async fn an_idle_flow_ends_and_a_busy_one_does_not() {
    let backend = Backend::start().await;
    let idle_timeout = Duration::from_secs(1);
    let mut proxy = Proxy::with_idle_timeout(Protocol::Udp, idle_timeout);
    proxy.serve(&[backend.addr]).await;
    let (busy, idle) = (
        Client::new(proxy.addr()).await,
        Client::new(proxy.addr()).await,
    );
    idle.backend().await;
    busy.backend().await;
    proxy.wait_for_connections(&[(backend.addr, 2)]).await;
    soon("one flow ends", async {
        while proxy.connections().await[&backend.addr] == 2 {
            busy.backend().await;
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(
        proxy.connections().await[&backend.addr],
        1,
        "the busy one lives"
    );
    proxy.wait_for_connections(&[(backend.addr, 0)]).await;
}

#[tokio::test]
async fn a_backend_that_restarts_answers_the_same_client_again() {
    let backend = Backend::start().await;
    let addr = backend.addr;
    let mut proxy = Proxy::new(Protocol::Udp);
    proxy.serve(&[addr]).await;
    let client = Client::new(proxy.addr()).await;
    assert_eq!(client.backend().await, addr);
    backend.stop().await;
    assert_eq!(client.ask("lost", Duration::from_millis(100)).await, None);
    let _again = Backend::at(addr).await;
    assert_eq!(client.backend().await, addr);
}

#[tokio::test]
async fn a_sticky_client_reaches_one_backend_from_all_its_ports() {
    let (one, two) = (Backend::start().await, Backend::start().await);
    let mut proxy = Proxy::new(Protocol::Udp);
    proxy.server.settings.persistence = Some(60);
    proxy.serve(&[one.addr, two.addr]).await;
    let home = Client::new(proxy.addr()).await.backend().await;
    for _ in 0..4 {
        assert_eq!(Client::new(proxy.addr()).await.backend().await, home);
    }
}

#[tokio::test]
async fn the_flow_silent_for_longest_makes_room_for_a_new_one() {
    let backend = Backend::start().await;
    let mut proxy = Proxy::new(Protocol::Udp);
    proxy.serve(&[backend.addr]).await;
    let mut clients = Vec::new();
    for _ in 0..7 {
        let client = Client::new(proxy.addr()).await;
        assert_eq!(client.backend().await, backend.addr);
        clients.push(client);
    }
    proxy.wait_for_connections(&[(backend.addr, 4)]).await;
    assert_eq!(
        clients[0].backend().await,
        backend.addr,
        "it gets a new one"
    );
}

//! What stands in for a container: a server that answers with its Pod's name over HTTP, WebSocket and UDP.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use meshlite_snapshot::Protocol;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

mod http;

/// Added to a port below 1024 that this user may not bind.
pub(crate) const LOW_PORT_OFFSET: u16 = 10_000;

/// How long open connections may go on once a backend stops.
const DRAIN: Duration = Duration::from_secs(5);

/// How long to wait when a connection could not be accepted, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A UDP datagram never holds more.
const MAX_DATAGRAM: usize = 65_535;

/// One port of a Pod that is being served. Dropping it stops the server.
#[derive(Debug)]
pub(crate) struct Backend {
    /// The port that it really listens on.
    pub(crate) port: u16,
    stop: CancellationToken,
}

enum Socket {
    Tcp(std::net::TcpListener),
    Udp(std::net::UdpSocket),
}

// === impl Backend ===

impl Backend {
    /// Listens on a port of an address and answers as `name`. Must be called on a tokio runtime.
    ///
    /// A port below 1024 that this user may not bind is moved up by [`LOW_PORT_OFFSET`]. SCTP is not served.
    pub(crate) fn start(
        name: &Arc<str>,
        address: IpAddr,
        protocol: Protocol,
        port: u16,
    ) -> io::Result<Self> {
        let (socket, port) = match Socket::bind(protocol, SocketAddr::new(address, port)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && port < 1024 => {
                let port = port + LOW_PORT_OFFSET;
                (
                    Socket::bind(protocol, SocketAddr::new(address, port))?,
                    port,
                )
            }
            bound => (bound?, port),
        };
        let stop = CancellationToken::new();
        let name = Arc::clone(name);
        match socket {
            Socket::Tcp(listener) => {
                let listener = TcpListener::from_std(listener)?;
                tokio::spawn(accept(
                    listener,
                    name,
                    SocketAddr::new(address, port),
                    stop.clone(),
                ));
            }
            Socket::Udp(socket) => {
                let socket = UdpSocket::from_std(socket)?;
                tokio::spawn(answer_datagrams(socket, name, stop.clone()));
            }
        }
        Ok(Self { port, stop })
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

// === impl Socket ===

impl Socket {
    fn bind(protocol: Protocol, addr: SocketAddr) -> io::Result<Self> {
        match protocol {
            Protocol::Tcp => {
                let listener = std::net::TcpListener::bind(addr)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(listener))
            }
            Protocol::Udp => {
                let socket = std::net::UdpSocket::bind(addr)?;
                socket.set_nonblocking(true)?;
                Ok(Self::Udp(socket))
            }
            Protocol::Sctp => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "demo backends speak TCP and UDP only",
            )),
        }
    }
}

async fn accept(listener: TcpListener, name: Arc<str>, addr: SocketAddr, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, Arc::clone(&name), addr, stop.clone()));
            }
            Err(error) => {
                info!(backend = %name, %error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, name: Arc<str>, addr: SocketAddr, stop: CancellationToken) {
    let service = hyper::service::service_fn({
        let name = Arc::clone(&name);
        move |request| {
            let answer = http::answer(&name, addr, request);
            std::future::ready(Ok::<_, std::convert::Infallible>(answer))
        }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(DRAIN, connection).await {
                Ok(result) => result,
                Err(_elapsed) => return,
            }
        }
    };
    if let Err(error) = result {
        debug!(backend = %name, %error, "connection ended early");
    }
}

async fn answer_datagrams(socket: UdpSocket, name: Arc<str>, stop: CancellationToken) {
    let mut datagram = vec![0; MAX_DATAGRAM];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut datagram) => received,
            () = stop.cancelled() => return,
        };
        let answered = match received {
            Ok((length, from)) => {
                let mut answer = format!("{name}: ").into_bytes();
                answer.extend_from_slice(datagram.get(..length).unwrap_or_default());
                socket.send_to(&answer, from).await.map(drop)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = answered {
            debug!(backend = %name, %error, "datagram not answered");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn start(protocol: Protocol) -> Backend {
        Backend::start(&"web-0".into(), LOOPBACK, protocol, free_port(protocol)).unwrap()
    }

    fn free_port(protocol: Protocol) -> u16 {
        match Socket::bind(protocol, SocketAddr::new(LOOPBACK, 0)).unwrap() {
            Socket::Tcp(listener) => listener.local_addr().unwrap().port(),
            Socket::Udp(socket) => socket.local_addr().unwrap().port(),
        }
    }

    #[tokio::test]
    async fn udp_is_answered_with_the_name_and_what_was_sent() {
        let backend = start(Protocol::Udp);
        let client = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
        client
            .send_to(b"ping", (LOOPBACK, backend.port))
            .await
            .unwrap();
        let mut answer = [0; 64];
        let received = tokio::time::timeout(Duration::from_secs(5), client.recv(&mut answer));
        let length = received.await.expect("an answer within 5 s").unwrap();
        assert_eq!(&answer[..length], b"web-0: ping");
    }

    #[tokio::test]
    async fn a_stopped_backend_gives_its_port_back() {
        let backend = start(Protocol::Tcp);
        let addr = SocketAddr::new(LOOPBACK, backend.port);
        TcpStream::connect(addr).await.expect("it listens");
        drop(backend);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(addr).await.is_ok() {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{addr} still accepts connections"
            );
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn sctp_is_refused_with_a_reason() {
        let error = Backend::start(&"web-0".into(), LOOPBACK, Protocol::Sctp, 7777).unwrap_err();
        assert_eq!(error.to_string(), "demo backends speak TCP and UDP only");
    }
}

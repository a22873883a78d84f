//! Asks an endpoint whether it takes TCP connections.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use tokio::{net::TcpStream, time::timeout};

/// How long an endpoint has to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Connects, and hangs up. None where the answer says something of this host, not of the endpoint.
pub(super) async fn ask(endpoint: SocketAddr) -> (SocketAddr, Option<bool>) {
    let is_alive = match timeout(PATIENCE, TcpStream::connect(endpoint)).await {
        Err(_elapsed) => Some(false),
        Ok(Ok(_connection)) => Some(true),
        Ok(Err(error)) => match error.kind() {
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::TimedOut
            | ErrorKind::HostUnreachable => Some(false),
            _ => None,
        },
    };
    (endpoint, is_alive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::own_loopback;

    #[tokio::test]
    async fn who_listens_answers_and_who_does_not_refuses() {
        let any = SocketAddr::from((own_loopback(), 0));
        let listener = std::net::TcpListener::bind(any).unwrap();
        let endpoint = listener.local_addr().unwrap();
        assert_eq!(ask(endpoint).await, (endpoint, Some(true)));
        drop(listener);
        assert_eq!(ask(endpoint).await, (endpoint, Some(false)));
    }
}

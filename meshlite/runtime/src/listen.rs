//! Binds listeners, with errors that say what to do.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

/// Why an address could not be bound, and with that what the operator can do.
#[derive(Debug, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "every variant has the same fields: what for and where"
)]
pub enum ListenError {
    /// Another process has it.
    #[error("cannot listen for {what} on {addr}: the address is in use; stop what uses it (`ss -ltnp 'sport = :{port}'`) or choose another port", port = addr.port())]
    InUse { what: String, addr: SocketAddr },
    /// This user may not.
    #[error(
        "cannot listen for {what} on {addr}: permission denied; ports below 1024 need CAP_NET_BIND_SERVICE or a lower net.ipv4.ip_unprivileged_port_start"
    )]
    Permission { what: String, addr: SocketAddr },
    /// The address is not of this machine.
    #[error(
        "cannot listen for {what} on {addr}: the address is not one of this machine's; `ip addr` lists them"
    )]
    NotLocal { what: String, addr: SocketAddr },
    /// Something else.
    #[error("cannot listen for {what} on {addr}: {error}")]
    Other {
        what: String,
        addr: SocketAddr,
        error: io::Error,
    },
}

impl ListenError {
    /// Names the reason for a failed bind of `addr`, which was wanted for `what`.
    pub fn new(what: &str, addr: SocketAddr, error: io::Error) -> Self {
        let what = what.to_owned();
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { what, addr },
            io::ErrorKind::PermissionDenied => Self::Permission { what, addr },
            io::ErrorKind::AddrNotAvailable => Self::NotLocal { what, addr },
            _ => Self::Other { what, addr, error },
        }
    }
}

/// Listens for TCP connections. `what` says what for, such as `gRPC (--listen)`.
pub async fn tcp(addr: SocketAddr, what: &str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(addr)
        .await
        .map_err(|error| ListenError::new(what, addr, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_purpose_and_a_way_out() {
        let holder = tcp("127.0.0.1:0".parse().unwrap(), "tests").await.unwrap();
        let addr = holder.local_addr().unwrap();
        let error = tcp(addr, "gRPC (--listen)").await.unwrap_err();
        assert!(matches!(error, ListenError::InUse { .. }));
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen for gRPC (--listen) on {addr}: the address is in use; stop what uses it \
                 (`ss -ltnp 'sport = :{}'`) or choose another port",
                addr.port()
            )
        );
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_told_apart() {
        let error = tcp("192.0.2.1:0".parse().unwrap(), "metrics")
            .await
            .unwrap_err();
        assert!(matches!(error, ListenError::NotLocal { .. }), "{error}");
    }

    #[test]
    fn a_forbidden_port_names_the_capability() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = ListenError::new("HTTP", "127.0.0.1:80".parse().unwrap(), denied);
        assert!(
            error.to_string().contains("CAP_NET_BIND_SERVICE"),
            "{error}"
        );
    }
}

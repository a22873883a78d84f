//! A wire between a control plane and its API server that a test can cut without either of them ending.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Open,
    Cut,
    Closed,
}

/// Forwards TCP connections to a port of the loopback.
pub(crate) struct Forwarder {
    address: SocketAddr,
    state: watch::Sender<State>,
    _ends: DropGuard,
}

impl Forwarder {
    /// Starts one.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, now) = watch::channel(State::Open);
        let ends = CancellationToken::new();
        let forward = forward(listener, port, now);
        tokio::spawn(ends.clone().run_until_cancelled_owned(forward));
        Self {
            address,
            state,
            _ends: ends.drop_guard(),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing gets through, and nobody is told: connections stay open, new ones too.
    pub(crate) fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// All connections end, and new ones as soon as they are made.
    pub(crate) fn close(&self) {
        self.state.send_replace(State::Closed);
    }

    /// Connections that were cut end, and new ones get through.
    pub(crate) fn open(&self) {
        self.state.send_replace(State::Open);
    }
}

async fn forward(listener: TcpListener, port: u16, state: watch::Receiver<State>) {
    while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(connection(near, port, state.clone()));
    }
}

/// One connection; once it was cut it is held until that is over, and then closed.
async fn connection(mut near: TcpStream, port: u16, mut state: watch::Receiver<State>) {
    let now = *state.borrow();
    if now == State::Open {
        let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else {
            return;
        };
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => return,
            _ = state.wait_for(|state| *state != State::Open) => {}
        }
        // Both ends are held: neither is told.
        state.wait_for(|state| *state != State::Cut).await.ok();
        drop(far);
    } else {
        state.wait_for(|state| *state != State::Cut).await.ok();
    }
}

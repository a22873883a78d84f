//! A wire between a control plane and its API server that a test can cut without either of them ending.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Forwards TCP connections to a port of the loopback.
pub(crate) struct Forwarder {
    address: SocketAddr,
    cut: watch::Sender<bool>,
    _ends: DropGuard,
}

impl Forwarder {
    /// Starts one.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, is_cut) = watch::channel(false);
        let ends = CancellationToken::new();
        tokio::spawn(
            ends.clone()
                .run_until_cancelled_owned(forward(listener, port, is_cut)),
        );
        Self {
            address,
            cut,
            _ends: ends.drop_guard(),
        }
    }

    /// Where it listens, as the URL of an API server.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// From now on nothing gets through, and nobody is told: connections stay open, new ones too.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// All connections end, and new ones get through again.
    pub(crate) fn mend(&self) {
        self.cut.send_replace(false);
    }
}

async fn forward(listener: TcpListener, port: u16, is_cut: watch::Receiver<bool>) {
    while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(connection(near, port, is_cut.clone()));
    }
}

/// One connection; once it was cut it is held until the wire is mended, and then closed.
async fn connection(mut near: TcpStream, port: u16, mut is_cut: watch::Receiver<bool>) {
    if !*is_cut.borrow() {
        let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else {
            return;
        };
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => return,
            _ = is_cut.wait_for(|cut| *cut) => {}
        }
    }
    // Fails only where the test has ended.
    is_cut.wait_for(|cut| !*cut).await.ok();
}

//! A way out of a namespace: a port of its loopback that leads to an address outside.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener as Listener, TcpStream},
    runtime::Handle,
    task::JoinSet,
};

use super::Host;

impl Host {
    /// Opens the same port on this host's loopback. Where what this gives is dropped, the way is closed, with all that goes
    /// by it, and keeps the namespace alive no longer.
    pub fn relay(&self, runtime: &Handle, to: SocketAddr) -> io::Result<JoinSet<()>> {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, to.port()));
        let listener = self.namespace().run(|| TcpListener::bind(here))?;
        listener.set_nonblocking(true)?;
        let _context = runtime.enter();
        let listener = Listener::from_std(listener)?;
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, to));
        Ok(serving)
    }
}

async fn serve(listener: Listener, to: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((inside, _)) = listener.accept().await {
        connections.spawn(carry(inside, to));
        while connections.try_join_next().is_some() {}
    }
}

async fn carry(mut inside: TcpStream, to: SocketAddr) -> io::Result<(u64, u64)> {
    let mut outside = TcpStream::connect(to).await?;
    // Whoever waits for a change waits for a small packet.
    outside.set_nodelay(true)?;
    inside.set_nodelay(true)?;
    copy_bidirectional(&mut inside, &mut outside).await
}

//! A way out of a namespace: a port of its loopback that leads to an address outside.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use tokio::{io::copy_bidirectional, net::TcpStream, runtime::Handle};

use super::Host;

impl Host {
    /// Opens the same port on this host's loopback, for as long as the runtime lives.
    pub fn relay(&self, runtime: &Handle, to: SocketAddr) -> io::Result<()> {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, to.port()));
        let listener = self.namespace().run(|| TcpListener::bind(here))?;
        listener.set_nonblocking(true)?;
        let _context = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        runtime.spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut outside = TcpStream::connect(to).await?;
                    // Whoever waits for a change waits for a small packet.
                    outside.set_nodelay(true)?;
                    inside.set_nodelay(true)?;
                    copy_bidirectional(&mut inside, &mut outside).await
                });
            }
        });
        Ok(())
    }
}

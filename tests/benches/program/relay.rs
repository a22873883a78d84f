//! A way out of a namespace: a port of its loopback that leads to an address outside.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
};

use meshlite_tests::world::Host;
use tokio::{io::copy_bidirectional, net::TcpStream, runtime::Handle};

/// Opens the same port on the loopback of a host of the world.
pub(crate) fn open(runtime: &Handle, host: &Host, to: SocketAddr) -> anyhow::Result<()> {
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, to.port()));
    let listener = host.namespace().run(|| TcpListener::bind(here))?;
    listener.set_nonblocking(true)?;
    let _context = runtime.enter();
    let listener = Arc::new(tokio::net::TcpListener::from_std(listener)?);
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

//! The floor: a relay that carries bytes between a client and the origin, and reads nothing of them. It has the system calls that
//! every proxy in user space has, on the runtime that the ingress has, and no more.

use std::{env, net::SocketAddr};

use anyhow::Context as _;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::{LocalOptions, LocalRuntime},
    task::spawn_local,
};

use super::Setting;
use crate::{
    clients::Sessions,
    objects::Origin,
    stage::{FLOOR, PROXY_CORE, Ports, Proxy, pinned},
};

pub(super) fn start(setting: Setting<'_>) -> anyhow::Result<Proxy> {
    let ports = Ports {
        logged: None,
        ..setting.ports
    };
    let listen = format!("{}:{}", ports.address, ports.http);
    let origin = setting.origins.of(Origin::Web).to_string();
    let log = setting.folder.join("relay.log");
    let arguments = [FLOOR.to_owned(), listen, origin];
    Ok(Proxy {
        name: FLOOR,
        process: pinned(PROXY_CORE, &env::current_exe()?, arguments, &log)?,
        ports,
        sessions: Sessions::new()?,
    })
}

/// Is the relay, until it is killed: `LISTEN ORIGIN`.
pub(crate) fn relay(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let mut address = || -> anyhow::Result<SocketAddr> {
        let word = arguments.next().context("usage: relay LISTEN ORIGIN")?;
        Ok(word.parse()?)
    };
    let (listen, origin) = (address()?, address()?);
    let runtime: LocalRuntime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        loop {
            let (client, _) = listener.accept().await?;
            // How one ends is told to its client by its end.
            drop(spawn_local(carry(client, origin)));
        }
    })
}

async fn carry(mut client: TcpStream, origin: SocketAddr) -> anyhow::Result<()> {
    let mut origin = TcpStream::connect(origin).await?;
    client.set_nodelay(true)?;
    origin.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut origin).await?;
    Ok(())
}

//! Two servers that say which one they are, on an address that an EndpointSlice may have.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What they say.
pub(crate) const NAMES: [&str; 2] = ["one", "two"];
/// Of the addresses for documentation: nothing is sent there.
const ELSEWHERE: &str = "192.0.2.1:9";

/// Starts both, in the order of their names. They end with the runtime.
pub(crate) async fn start() -> anyhow::Result<[SocketAddr; 2]> {
    let ip = own_address()?;
    Ok([
        start_one(ip, NAMES[0]).await?,
        start_one(ip, NAMES[1]).await?,
    ])
}

/// An address of this machine; the API server takes none of loopback.
fn own_address() -> anyhow::Result<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let found = socket.connect(ELSEWHERE).and_then(|()| socket.local_addr());
    let address = found.context(
        "this machine has no address but loopback's, which no EndpointSlice may have; `ip address add 192.0.2.2/24 dev DEVICE`",
    )?;
    ensure!(!address.ip().is_loopback(), "{address} is loopback's");
    Ok(address.ip())
}

async fn start_one(ip: IpAddr, name: &'static str) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((ip, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, name));
        }
    });
    Ok(address)
}

async fn answer(mut stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}",
        name.len()
    );
    let mut text = Vec::new();
    while stream.read_buf(&mut text).await? > 0 {
        if text.ends_with(b"\r\n\r\n") {
            text.clear();
            stream.write_all(answer.as_bytes()).await?;
        }
    }
    Ok(())
}

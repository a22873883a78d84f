//! What the scenarios share: a control plane's rights, clients that note what they are told, and a wire that can be cut.

pub(crate) mod certificate;
mod cluster;
mod credentials;
mod follower;
mod forwarder;
mod status;
mod stream;

pub(crate) use cluster::{Cluster, RBAC, objects, start};
pub(crate) use credentials::{AUDIENCE, Identity};
pub(crate) use follower::Follower;
pub(crate) use forwarder::Forwarder;
pub(crate) use status::Asked;
pub(crate) use stream::Stream;

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    path::Path,
};

use meshlite_tests::apiserver::eventually;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The control plane as a program.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_replica"))
}

/// Waits until a client holds what a replica publishes.
pub(crate) async fn converged(follower: &Follower, asked: &Asked) {
    eventually("the client holds what is published", async || {
        let (published, held) = (asked.digests().await?, follower.digests());
        let differs = held
            .iter()
            .find(|(topic, digest)| published.get(*topic) != Some(*digest));
        match differs {
            None if follower.status().connected && !held.is_empty() => Ok(()),
            _ => Err(format!("{differs:?} of {held:?} is not in {published:?}")),
        }
    })
    .await;
}

/// The status that an admin server answers.
pub(crate) async fn http_status(address: SocketAddr, path: &str) -> u16 {
    let answer = http_text(address, path).await;
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// What an admin server answers, with its head.
pub(crate) async fn http_text(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nhost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// An address of this machine that is not on the loopback, which no EndpointSlice may name. None, and said aloud, where
/// there is none; in CI that is a failure.
pub(crate) fn host_address_or_say_so() -> Option<IpAddr> {
    // Nothing is sent: it only asks the routes.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let routed = socket
        .connect("203.0.113.1:9")
        .and_then(|()| socket.local_addr());
    let found = routed.ok().map(|address| address.ip());
    let found = found.filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
    if found.is_none() {
        let missing = "this machine has no address but that of the loopback";
        assert!(
            std::env::var_os("CI").is_none(),
            "{missing}, and CI must run this test"
        );
        eprintln!("NOT RUN: {missing}");
    }
    found
}

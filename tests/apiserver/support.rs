//! What the scenarios share: a control plane's rights, clients that note what they are told, and a wire that can be cut.

pub(crate) mod certificate;
mod cluster;
mod follower;
mod forwarder;
mod status;

pub(crate) use cluster::{Cluster, objects, start};
pub(crate) use follower::{Follower, Noted};
pub(crate) use forwarder::Forwarder;
pub(crate) use status::Asked;

use std::{net::SocketAddr, path::Path};

use meshlite_tests::apiserver::eventually;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The control plane as a program.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_replica"))
}

/// The first number in `make test`, the second where `MESHLITE_SOAK` is set.
pub(crate) fn soaked<T>(quick: T, soak: T) -> T {
    if std::env::var_os("MESHLITE_SOAK").is_some() {
        soak
    } else {
        quick
    }
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
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nhost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap();
    status.parse().unwrap()
}

//! What happens to clients while this process has no file descriptors left. The limit is the whole process's, so the
//! test runs in one of its own.

use std::{env, fs::File, process::Command};

use meshlite_snapshot::Protocol;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{Proxy, soon};

const NAME: &str =
    "kernel::userspace::tests::shortage::clients_wait_while_there_are_no_descriptors_left";

/// Set in the process that the test starts for itself.
const ALONE: &str = "MESHLITE_TEST_ALONE";

#[test]
fn clients_wait_while_there_are_no_descriptors_left() {
    if env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        return runtime.unwrap().block_on(alone());
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

async fn alone() {
    let backend = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut proxy = Proxy::new(Protocol::Tcp);
    proxy.serve(&[backend.local_addr().unwrap()]).await;
    // One is left for the client's own socket, one for the proxy's end of it.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let highest = File::open("/dev/null").unwrap();
    let used = std::os::fd::AsRawFd::as_raw_fd(&highest);
    drop(highest);
    setrlimit(
        Resource::RLIMIT_NOFILE,
        (used + 2).try_into().unwrap(),
        hard,
    )
    .unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    let failures = || proxy.kernel.context.traffic.accept_failures();
    soon("the shortage", async {
        while failures() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let (mut served, _) = soon("the client's turn", backend.accept()).await.unwrap();
    served.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    soon("the answer", client.read_exact(&mut heard))
        .await
        .unwrap();
    assert_eq!(&heard, b"hello");
}

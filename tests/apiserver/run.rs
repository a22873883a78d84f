//! A Kubernetes API server to try things against by hand: started, named, and gone with Ctrl-C.

use std::io::Write as _;

use meshlite_tests::apiserver::{ApiServer, Assets, Options};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let server = ApiServer::start(Assets::find()?, Options::default()).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "export KUBECONFIG={}", server.kubeconfig().display())?;
    writeln!(
        out,
        "# {} until Ctrl-C; logs and the audit log are beside the kubeconfig",
        server.url()
    )?;
    out.flush()?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

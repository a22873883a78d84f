//! The control plane as a user starts it: a process with TLS, a CA of its own, tokens, and this API server as its source.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use meshlite_tests::process::{Process, free_port, sibling, wait_until_ready};
use tokio::time::Instant;

/// A control plane that is ready.
pub(crate) struct Replica {
    pub(crate) process: Process,
    pub(crate) grpc: u16,
}

/// What it took to become ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) took: Duration,
    pub(crate) cpu: Duration,
    /// Bytes over the loopback meanwhile, with those between API server and etcd, which are few.
    pub(crate) bytes: u64,
    pub(crate) resident_mb: u64,
    pub(crate) peak_mb: u64,
}

/// How control planes are started.
pub(crate) struct Starter {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) log: PathBuf,
    /// Where they listen for data planes, one after the other.
    pub(crate) grpc: u16,
}

impl Starter {
    pub(crate) fn new(kubeconfig: &Path, folder: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            kubeconfig: kubeconfig.to_owned(),
            log: folder.join("log"),
            grpc: free_port()?,
        })
    }

    pub(crate) async fn start(&self) -> anyhow::Result<(Replica, Start)> {
        let (grpc, admin) = (self.grpc, free_port()?);
        let arguments = [
            "control-plane".to_owned(),
            format!("--kubeconfig={}", self.kubeconfig.display()),
            format!("--listen=127.0.0.1:{grpc}"),
            format!("--admin-listen=127.0.0.1:{admin}"),
            "--log-level=warn".to_owned(),
        ];
        let bytes = loopback_bytes()?;
        let started = Instant::now();
        let process = Process::start(&sibling("meshlite")?, arguments, &self.log)?;
        wait_until_ready(admin, "/readyz", &self.log).await?;
        let start = Start {
            took: started.elapsed(),
            cpu: process.cpu()?,
            bytes: loopback_bytes()? - bytes,
            resident_mb: process.resident_mb()?,
            peak_mb: process.peak_mb()?,
        };
        Ok((Replica { process, grpc }, start))
    }
}

/// Bytes that went over the loopback interface since the machine started, with the headers of all layers.
fn loopback_bytes() -> anyhow::Result<u64> {
    Ok(fs::read_to_string("/sys/class/net/lo/statistics/rx_bytes")?
        .trim()
        .parse()?)
}

//! A control plane as a process, and what it says of itself.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use tokio::time::Instant;

use crate::{
    cluster::Cluster,
    fleet::Target,
    keys::AUDIENCE,
    process::{Process, free_port, get, sibling, wait_until_ready},
};

/// A control plane and its ports.
pub(crate) struct Server {
    pub(crate) process: Process,
    tls: bool,
    grpc: u16,
    admin: u16,
    /// From its start until it was ready.
    pub(crate) started: Duration,
}

impl Server {
    /// Starts one, and waits until it is ready. The folder holds its certificate, and gets its log.
    pub(crate) async fn start(folder: &Path, cluster: &Cluster, tls: bool) -> anyhow::Result<Self> {
        let (grpc, admin) = (free_port()?, free_port()?);
        let file = |name: &str| folder.join(name).display().to_string();
        let mut arguments = vec![
            "control-plane".to_owned(),
            format!("--kubeconfig={}", cluster.kubeconfig.display()),
            format!("--listen=127.0.0.1:{grpc}"),
            format!("--admin-listen=127.0.0.1:{admin}"),
            "--log-level=warn".to_owned(),
        ];
        if tls {
            arguments.push(format!("--tls-certificate={}", file("tls.crt")));
            arguments.push(format!("--tls-key={}", file("tls.key")));
            arguments.push(format!("--token-audience={AUDIENCE}"));
        } else {
            arguments.push("--insecure".to_owned());
        }
        let (start, log) = (Instant::now(), folder.join("log"));
        let process = Process::start(&sibling("meshlite")?, arguments, &log)?;
        wait_until_ready(admin, "/readyz", &log).await?;
        Ok(Self {
            process,
            tls,
            grpc,
            admin,
            started: start.elapsed(),
        })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.grpc)
    }

    /// How clients reach it whose CA and tokens are in this folder.
    pub(crate) fn target(&self, folder: &Path) -> Target {
        let tls = self.tls.then(|| Target::credentials(folder));
        Target {
            url: self.url(),
            tls,
            proves: true,
        }
    }

    /// The value of a metric, without `meshlite_`, over all its labels.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = get(self.admin, "/metrics").await?;
        let name = format!("meshlite_{name}");
        let is_sample = |line: &&str| {
            let rest = line.strip_prefix(&name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        let mut values = text.lines().filter(is_sample).peekable();
        values
            .peek()
            .with_context(|| format!("there is no metric {name}"))?;
        values.try_fold(0.0, |sum, line| {
            let value = line.rsplit(' ').next().unwrap_or_default();
            Ok(sum + value.parse::<f64>()?)
        })
    }
}

//! The control plane and the ingress as a user starts them: processes with TLS and a token.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::bail;
use meshlite_tests::process::{Process, free_port, get, sibling, wait_until_ready};
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;

/// A process that used less in a second has nothing to do.
const IDLE: Duration = Duration::from_millis(30);
/// How long the start may take, with what is written back to every Ingress.
const LIMIT: Duration = Duration::from_mins(3);

/// Both, ready and with nothing to do.
pub(crate) struct Planes {
    control_plane: Process,
    ingress: Process,
    metrics: u16,
    pub(crate) http: SocketAddr,
}

impl Planes {
    pub(crate) async fn start(cluster: &Cluster, folder: &Path) -> anyhow::Result<Self> {
        let [grpc, metrics, http, https, admin] = [
            free_port()?,
            free_port()?,
            free_port()?,
            free_port()?,
            free_port()?,
        ];
        let (program, log) = (sibling("meshlite")?, folder.join("log"));
        let arguments = [
            "control-plane".to_owned(),
            format!("--kubeconfig={}", cluster.api.kubeconfig().display()),
            format!("--listen=127.0.0.1:{grpc}"),
            format!("--admin-listen=127.0.0.1:{metrics}"),
            format!("--ingress-http-port={http}"),
            format!("--ingress-https-port={https}"),
            "--watch-ingress-without-class".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        let control_plane = Process::start(&program, arguments, &log)?;
        wait_until_ready(metrics, "/readyz", &log).await?;
        cluster.write_credentials(folder).await?;
        let arguments = [
            "ingress".to_owned(),
            format!("--control-plane=https://127.0.0.1:{grpc}"),
            format!("--ca-file={}", folder.join("ca.crt").display()),
            format!("--token-file={}", folder.join("token").display()),
            "--address=127.0.0.1".to_owned(),
            format!("--admin-listen=127.0.0.1:{admin}"),
            "--log-level=warn".to_owned(),
        ];
        let ingress = Process::start(&program, arguments, &log)?;
        wait_until_ready(admin, "/readyz", &log).await?;
        let planes = Self {
            control_plane,
            ingress,
            metrics,
            http: SocketAddr::from(([127, 0, 0, 1], http)),
        };
        planes.idle().await?;
        Ok(planes)
    }

    /// Waits until neither has anything to do.
    async fn idle(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + LIMIT;
        let used = || anyhow::Ok(self.control_plane.cpu()? + self.ingress.cpu()?);
        let mut before = used()?;
        while Instant::now() < deadline {
            sleep(Duration::from_secs(1)).await;
            let now = used()?;
            if now.saturating_sub(before) < IDLE {
                return Ok(());
            }
            before = now;
        }
        bail!("the planes are still busy after {LIMIT:?}");
    }

    /// The sum and the count of a histogram of the control plane.
    pub(crate) async fn histogram(&self, name: &str) -> anyhow::Result<(f64, f64)> {
        let text = get(self.metrics, "/metrics").await?;
        let value = |of: &str| -> f64 {
            let name = format!("{name}_{of}");
            let values = text.lines().filter_map(|line| {
                let rest = line.strip_prefix(&name)?;
                // Its labels, if it has any.
                rest.rsplit(' ').next()?.parse::<f64>().ok()
            });
            values.sum()
        };
        Ok((value("sum"), value("count")))
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.ingress.kill().await?;
        self.control_plane.kill().await
    }
}

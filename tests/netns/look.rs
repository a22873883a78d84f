//! What a node says of itself: whether it is ready, what it counts, what it logs.

use std::net::{Ipv4Addr, SocketAddr};

use crate::cluster::Cluster;

const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10249);

// === impl Cluster ===

impl Cluster {
    /// Waits until a node has programmed what it was sent.
    pub(crate) fn is_ready(&self, node: usize) {
        let host = self.world.node(node);
        let what = format!("{} is ready", host.name());
        self.eventually(&what, || match host.get(METRICS, "/readyz") {
            Ok((status, _)) if status == "200" => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    /// The value of a metric of a node, over all its labels.
    pub(crate) fn metric(&self, node: usize, name: &str) -> Result<f64, String> {
        let host = self.world.node(node);
        let (_, body) = host
            .get(METRICS, "/metrics")
            .map_err(|error| error.to_string())?;
        let samples = body.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value = rest
                .starts_with([' ', '{'])
                .then(|| rest.rsplit(' ').next());
            value?.and_then(|value| value.parse::<f64>().ok())
        });
        Ok(samples.sum())
    }

    /// Waits until a node has logged this.
    pub(crate) fn logs_that(&self, node: usize, text: &str) {
        let what = format!("{} logs {text:?}", self.world.node(node).name());
        self.eventually(&what, || {
            let logged = self.process(node).is_some_and(|it| it.has_logged(text));
            if logged { Ok(()) } else { Err("it does not") }
        });
    }
}

//! A cluster that the control plane watches: its API server, and what changes in it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde_json::Value;

use crate::{api::Api, wall_clock, world::Size};

/// An API server with its objects, and the way to it.
pub(crate) struct Cluster {
    pub(crate) size: Size,
    pub(crate) kubeconfig: PathBuf,
    api: Api,
    /// Of each slice, whether its first endpoint is ready.
    ready: Vec<bool>,
    /// Changes so far.
    changes: u32,
}

impl Cluster {
    /// Serves a cluster of this size for as long as the process lives. A folder holds its kubeconfig.
    pub(crate) async fn serve(size: Size, jwks: Value, folder: &Path) -> anyhow::Result<Self> {
        let api = Api::new(size, jwks);
        let addr = api.serve().await?;
        let kubeconfig = folder.join(format!("kubeconfig-{}", size.services));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: bench\nclusters: [{{name: bench, cluster: {{server: 'http://{addr}'}}}}]\n\
             contexts: [{{name: bench, context: {{cluster: bench, user: bench}}}}]\nusers: [{{name: bench, user: {{}}}}]\n"
        );
        fs::write(&kubeconfig, text)?;
        Ok(Self {
            size,
            kubeconfig,
            api,
            ready: vec![true; usize::try_from(size.services)?],
            changes: 0,
        })
    }

    /// Makes the first endpoint of some Service unready, or ready again.
    pub(crate) fn change(&mut self) -> anyhow::Result<()> {
        // Anywhere, and the same in every run.
        let number = self.changes.wrapping_mul(2_654_435_769) % self.size.services;
        self.changes += 1;
        let slot = self.ready.get_mut(usize::try_from(number)?);
        let ready = slot.is_some_and(|ready| {
            *ready = !*ready;
            *ready
        });
        self.api.change(number, ready, &rfc3339(wall_clock())?)
    }
}

fn rfc3339(at: SystemTime) -> anyhow::Result<String> {
    let at = time::OffsetDateTime::from(at);
    Ok(at.format(&time::format_description::well_known::Rfc3339)?)
}

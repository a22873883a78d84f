//! `meshlite get`: what a control plane serves, or would serve, for people and for tools.

use anyhow::Context;

mod files;
mod server;
mod table;
mod view;

pub(crate) use table::{kind, ports, ready, routes};
pub(crate) use view::View;

use crate::{
    config::{GetConfig, GetSource},
    output,
};

/// Prints a snapshot and its findings. Findings are no failure.
pub(crate) async fn snapshot(config: GetConfig) -> anyhow::Result<()> {
    let GetConfig { source, format } = config;
    let view = match source {
        GetSource::Server(url) => fetch(&url).await?,
        GetSource::Manifests(source, settings) => {
            files::compile(&source, &settings).context("cannot read the manifests")?
        }
    };
    output::value(format, &view, || table::print(&view))
}

/// What the control plane at this URL serves.
pub(crate) async fn fetch(url: &str) -> anyhow::Result<View> {
    server::fetch(url).await.with_context(|| {
        format!("cannot fetch the snapshot from {url}; is a control plane running there? (--control-plane URL asks another, --manifests DIR|FILE none)")
    })
}

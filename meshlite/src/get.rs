//! `meshlite get`: what a control plane serves or would serve, or what a data plane has installed.

use anyhow::{Context, bail};
use meshlite_proto::{connect::Security, installed::Filter};

mod files;
mod kinds;
mod node;
mod server;
mod table;
mod view;

pub(crate) use kinds::Kind;
pub(crate) use table::{kind, ports, ready, routes};
pub(crate) use view::View;

use crate::{
    config::{GetConfig, GetSnapshotConfig, GetSource, Reach, SnapshotSource},
    output::{self, Format},
    watch::watch,
};

/// Prints a snapshot and its findings. Findings are no failure.
pub(crate) async fn snapshot(config: GetSnapshotConfig) -> anyhow::Result<()> {
    let GetSnapshotConfig {
        source,
        format,
        is_watch,
    } = config;
    let look = async || {
        let view = match &source {
            SnapshotSource::Asked(GetSource::ControlPlane(reach)) => server::fetch(reach)
                .await
                .context("cannot fetch the snapshot")?,
            SnapshotSource::Asked(GetSource::DataPlane(url)) => node::fetch(url).await?,
            SnapshotSource::Manifests(source, settings) => {
                files::compile(source, settings).context("cannot read the manifests")?
            }
        };
        output::rendered(format, &view, || table::print(&view))
    };
    show(format, is_watch, look).await
}

/// Prints the objects of one kind.
pub(crate) async fn objects(kind: Kind, config: GetConfig) -> anyhow::Result<()> {
    let GetConfig {
        source,
        filter,
        format,
        is_watch,
    } = config;
    let look = async || {
        let mut view = match &source {
            GetSource::ControlPlane(reach) => server::dump(reach, kind.needs(), &filter)
                .await
                .with_context(|| format!("cannot get {kind}"))?,
            GetSource::DataPlane(url) => node::dump(url, kind.needs(), &filter).await?,
        };
        kind.keep(&mut view, &filter);
        if view.resources.is_empty() && filter.name.is_some() {
            bail!(
                "{}; `meshlite get {kind}` lists all that there are",
                nothing(kind, &filter)
            );
        }
        output::rendered(format, &view.list(), || {
            let table = kind.table(&view, &filter, format);
            table.unwrap_or_else(|| nothing(kind, &filter))
        })
    };
    show(format, is_watch, look).await
}

/// Prints it once, or as often as it changes.
async fn show(
    format: Format,
    is_watch: bool,
    look: impl AsyncFn() -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    if is_watch {
        return watch(format, look).await;
    }
    output::line(&look().await?)?;
    Ok(())
}

/// What the control plane at this URL serves on loopback.
pub(crate) async fn fetch(url: &str) -> anyhow::Result<View> {
    let reach = Reach {
        control_planes: vec![url.to_owned()],
        security: Security::Plaintext,
    };
    server::fetch(&reach).await
}

fn nothing(kind: Kind, filter: &Filter) -> String {
    let name = filter.name.as_ref().map(|name| format!(" named {name}"));
    let namespace = filter.namespace.as_ref();
    let namespace = namespace.map(|namespace| format!(" in namespace {namespace}"));
    let (name, namespace) = (name.unwrap_or_default(), namespace.unwrap_or_default());
    format!("no {kind}{name}{namespace}")
}

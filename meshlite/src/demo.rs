//! `meshlite demo`: all of Meshlite on loopback, with backends, for people to try and for machines to check.
//!
//! ```text
//! manifests ─> control plane ═gRPC═┬─> node (user space) ─┬─> backends: one for each Pod
//!                                  └─> ingress ───────────┘
//! ```

use std::path::PathBuf;

use anyhow::Context;
use meshlite_runtime::signals;

mod backend;
mod certificates;
mod check;
mod client;
mod commands;
mod folder;
mod follow;
mod layout;
mod mesh;
mod pods;
mod show;
mod status;

use self::{
    certificates::Authority,
    folder::Folder,
    layout::{Layout, Servers},
    mesh::Mesh,
};
use crate::{output, progress::Progress};

/// Runs the demo until a signal, or checks it.
pub(crate) async fn run(manifests: Option<PathBuf>, check: bool) -> anyhow::Result<()> {
    if check {
        return check::run().await;
    }
    let stop = signals::stop_on_signals();
    let layout = Layout::choose(Servers::Documented)?;
    let folder = Folder::create()?;
    let is_built_in = manifests.is_none();
    let (manifests, outsiders) = if let Some(manifests) = manifests {
        (manifests, Vec::new())
    } else {
        folder.write_built_in(&layout, &Authority::new()?)?;
        (folder.manifests(), mesh::start_outsiders(&layout)?)
    };
    let mut mesh = Mesh::start(layout, manifests.clone(), folder.state(), outsiders).await?;
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        error = show_until_failure(&mut mesh, &folder, &manifests, is_built_in) => Err(error),
    };
    ended?;
    output::line("stopping")?;
    mesh.end().await
}

/// Shows the demo once it has converged, and waits until a plane fails.
async fn show_until_failure(
    mesh: &mut Mesh,
    folder: &Folder,
    manifests: &std::path::Path,
    is_built_in: bool,
) -> anyhow::Error {
    let authority = is_built_in.then(|| folder.authority());
    let shown = async {
        let progress = Progress::of_unknown("starting all planes");
        status::converged(&mesh.layout).await?;
        drop(progress);
        show::show(&mesh.layout, manifests, authority.as_deref()).await
    };
    if let Err(error) = shown.await.context("the demo did not start") {
        return error;
    }
    let grpc = mesh.layout.grpc;
    tokio::select! {
        error = mesh.failed() => error,
        Err(error) = follow::follow(grpc) => error,
    }
}

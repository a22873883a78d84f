//! `meshlite status`: whether every data plane holds what the control plane publishes.

use std::time::SystemTime;

use anyhow::Context;
use futures_util::future::join_all;

pub(crate) mod client;
mod table;
mod view;

use self::view::{Asked, View};
use crate::{
    clock,
    config::{Reach, StatusConfig},
    output,
    watch::watch,
};

/// Prints where everybody stands; gives whether all have converged.
pub(crate) async fn run(config: StatusConfig) -> anyhow::Result<bool> {
    let StatusConfig {
        reach,
        format,
        is_watch,
    } = config;
    let look = async || {
        let view = ask(&reach, clock::wall()).await;
        let view = view.context("cannot ask for the status")?;
        let text = output::rendered(format, &view, || table::print(&view, format))?;
        Ok((text, view.converged))
    };
    if is_watch {
        watch(format, async || look().await.map(|(text, _)| text)).await?;
        return Ok(true);
    }
    let (text, converged) = look().await?;
    output::line(&text)?;
    Ok(converged)
}

/// Asks one control plane for the clients of all of them, and each that is named for its own state.
async fn ask(reach: &Reach, now: SystemTime) -> anyhow::Result<View> {
    let server = reach.first().await?;
    let (clients, unreachable) = server.clients().await?;
    let status = async |url: &str| reach.connect(url).await?.server_status().await;
    let statuses = join_all(reach.control_planes.iter().map(|url| async move {
        let answer = status(url).await.map_err(|error| format!("{error:#}"));
        Asked {
            address: url.clone(),
            answer,
        }
    }))
    .await;
    Ok(View::new(clients, unreachable, statuses, now))
}

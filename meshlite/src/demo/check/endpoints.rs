//! Endpoints: removed under load, not ready, written by hand.

use std::collections::BTreeSet;

use anyhow::ensure;
use tokio::time::Instant;

use super::{
    super::{client::KeptConnection, pods::TERMINATION, status::eventually},
    Checks,
    load::Load,
    world::{World, all_of},
};

pub(super) async fn check(checks: &mut Checks) -> anyhow::Result<()> {
    checks
        .check(
            "endpoints removed under load cost no request, at a ClusterIP and at the ingress, and are used again when they are back",
            removed_under_load,
        )
        .await?;
    checks
        .check(
            "an endpoint that is not ready gets no traffic",
            async |world| {
                let ready_only = world.cluster_ip("ready-only", 80).await?;
                all_of(world.pods(ready_only, 12).await?.keys(), "warm", 1)
            },
        )
        .await?;
    checks
        .check("with publishNotReadyAddresses it does", async |world| {
            let addr = world.cluster_ip("ready-or-not", 80).await?;
            let pods: BTreeSet<_> = world.pods(addr, 12).await?.into_keys().collect();
            ensure!(
                pods == BTreeSet::from(["cold".into(), "warm".into()]),
                "{pods:?} answered"
            );
            Ok(())
        })
        .await?;
    checks
        .check(
            "a Service without selector sends port 6666 to the port of its hand-written Endpoints",
            async |world| {
                let db = world.cluster_ip("external-db", 6666).await?;
                all_of(world.pods(db, 3).await?.keys(), "external-db", 1)
            },
        )
        .await
}

async fn removed_under_load(world: &mut World) -> anyhow::Result<()> {
    let web = world.cluster_ip("web", 80).await?;
    let mut established = Vec::new();
    for _ in 0..3 {
        let mut kept = KeptConnection::open(web, "localhost").await?;
        let pod = kept.get("/").await?.pod()?.to_owned();
        established.push((kept, pod));
    }
    let load = Load::start(&[(web, "localhost"), (world.http(), "blog.demo.test")]);
    load.more(20).await?;
    world.edit("web.yaml", &[("replicas: 3", "replicas: 2")])?;
    world.edit("blog.yaml", &[("replicas: 2", "replicas: 1")])?;
    answered_by(&load, 2, 1).await?;
    for (kept, pod) in &mut established {
        let still = kept.get("/").await?;
        ensure!(
            still.pod()? == pod,
            "a connection moved from {pod} to {}",
            still.pod()?
        );
    }
    // Until the Pods that were removed are really gone, with the connections that the ingress keeps to them.
    let gone = Instant::now() + TERMINATION;
    while Instant::now() < gone {
        load.more(20).await?;
    }
    world.edit("web.yaml", &[("replicas: 2", "replicas: 3")])?;
    world.edit("blog.yaml", &[("replicas: 1", "replicas: 2")])?;
    answered_by(&load, 3, 2).await?;
    load.end().await
}

/// Waits until so many Pods answer, and no others.
async fn answered_by(load: &Load, web: usize, blog: usize) -> anyhow::Result<()> {
    eventually(async || {
        load.take_pods();
        load.more(60).await?;
        let (of_web, of_blog): (Vec<_>, Vec<_>) = load
            .take_pods()
            .into_iter()
            .partition(|pod| pod.starts_with("web-"));
        all_of(of_web, "web-", web)?;
        all_of(of_blog, "blog-", blog)
    })
    .await
}

//! Endpoints: removed under load, not ready, written by hand.

use std::collections::BTreeSet;

use anyhow::ensure;

use super::{
    super::{client::KeptConnection, status::eventually},
    Checks,
    load::Load,
    world::{World, all_of},
};

pub(super) async fn check(checks: &mut Checks) -> anyhow::Result<()> {
    checks
        .check(
            "an endpoint removed under load costs no request, and is used again when it is back",
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
    let load = Load::start(&[(web, "localhost")]);
    load.more(20).await?;
    world.edit("web.yaml", "replicas: 3", "replicas: 2")?;
    eventually(async || {
        load.take_pods();
        load.more(20).await?;
        all_of(load.take_pods(), "web-", 2)
    })
    .await?;
    for (kept, pod) in &mut established {
        let still = kept.get("/").await?;
        ensure!(
            still.pod()? == pod,
            "a connection moved from {pod} to {}",
            still.pod()?
        );
    }
    world.edit("web.yaml", "replicas: 2", "replicas: 3")?;
    eventually(async || {
        load.take_pods();
        load.more(20).await?;
        all_of(load.take_pods(), "web-", 3)
    })
    .await?;
    load.end().await
}

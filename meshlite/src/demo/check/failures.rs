//! Failures: a broken manifest, and a control plane that goes away and comes back.

use anyhow::{Context, ensure};
use meshlite_snapshot::Severity;

use super::{
    super::{
        client,
        status::{self, eventually},
    },
    Checks,
    load::Load,
    world::{World, all_of},
};

pub(super) async fn check(checks: &mut Checks) -> anyhow::Result<()> {
    checks
        .check(
            "a broken manifest leaves traffic as it was, and is reported",
            broken_manifest,
        )
        .await?;
    checks
        .check(
            "the control plane stops and comes back without a failed request",
            restart,
        )
        .await
}

async fn broken_manifest(world: &mut World) -> anyhow::Result<()> {
    let web = world.cluster_ip("web", 80).await?;
    let good = world.folder.read("web.yaml")?;
    let before = world.view().await?;
    // The first document is good and would scale down; the second is not. The file counts as a whole.
    let broken = good
        .replace("replicas: 3", "replicas: 1")
        .replace("  - port: 80", "  - prot: 80");
    world.folder.write("web.yaml", &broken)?;
    let findings = eventually(async || {
        let findings = world.view().await?.findings;
        let mut errors = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error);
        let found = errors.find(|finding| {
            finding
                .source
                .as_ref()
                .is_some_and(|source| source.file.ends_with("web.yaml"))
        });
        Ok(found
            .context("no error about web.yaml is reported")?
            .clone())
    })
    .await?;
    ensure!(
        findings.object.name == "web",
        "the finding is about {}",
        findings.object
    );
    all_of(world.pods(web, 12).await?.keys(), "web-", 3)?;
    let after = world.view().await?;
    let same = after.snapshot == before.snapshot;
    ensure!(same, "what is served changed");
    let metrics = client::get(
        world.mesh.layout.control_plane_admin,
        "localhost",
        "/metrics",
    )
    .await?;
    let is_counted = metrics.body.lines().any(|line| {
        line.contains("finding")
            && line.contains("rror")
            && !line.starts_with('#')
            && !line.ends_with(" 0")
    });
    ensure!(is_counted, "no metric counts the error");
    world.folder.write("web.yaml", &good)?;
    eventually(async || {
        let errors = world.view().await?.findings;
        let still = errors
            .iter()
            .find(|finding| finding.severity == Severity::Error && finding.object.name == "web");
        ensure!(still.is_none(), "still reported: {still:?}");
        Ok(())
    })
    .await
}

async fn restart(world: &mut World) -> anyhow::Result<()> {
    let web = world.cluster_ip("web", 80).await?;
    let load = Load::start(&[(web, "localhost"), (world.http(), "shop.demo.test")]);
    load.more(30).await?;
    world.mesh.stop_control_plane().await?;
    load.more(60).await?;
    world.mesh.start_control_plane().await?;
    status::converged(&world.mesh.layout).await?;
    load.more(30).await?;
    load.end().await?;
    let same = world.cluster_ip("web", 80).await?;
    ensure!(same == web, "the cluster IP moved from {web} to {same}");
    // The data planes follow again.
    world.edit("web.yaml", &[("replicas: 3", "replicas: 2")])?;
    eventually(async || all_of(world.pods(web, 12).await?.keys(), "web-", 2)).await
}

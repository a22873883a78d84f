//! `meshlite demo --check`: the demo, tested from outside with real clients.

use std::time::Duration;

use anyhow::{Context, bail};
use meshlite_runtime::signals;
use tokio::time::Instant;

mod endpoints;
mod failures;
mod ingress;
mod load;
mod protocol;
mod services;
mod tls;
mod world;

use self::world::World;
use crate::output;

/// How long one check may take, with every condition that it waits for.
const DEADLINE: Duration = Duration::from_secs(45);

/// Checks, and how they went.
#[derive(Debug)]
struct Checks {
    world: World,
    passed: u32,
    failed: u32,
}

/// Runs every check and prints a line for each. Fails unless all passed.
pub(crate) async fn run() -> anyhow::Result<()> {
    let stop = signals::stop_on_signals();
    let work = async {
        let started = Instant::now();
        let world = World::start().await.context("the demo did not start")?;
        let mut checks = Checks {
            world,
            passed: 0,
            failed: 0,
        };
        services::check(&mut checks).await?;
        endpoints::check(&mut checks).await?;
        ingress::check(&mut checks).await?;
        tls::check(&mut checks).await?;
        protocol::check(&mut checks).await?;
        failures::check(&mut checks).await?;
        let Checks {
            world,
            passed,
            failed,
        } = checks;
        world.end().await.context("the demo did not end")?;
        let took = started.elapsed().as_secs_f32();
        output::line(&format!("took {took:.1} s"))?;
        output::line(&format!("checks: {passed} passed, {failed} failed"))?;
        anyhow::ensure!(failed == 0, "{failed} checks failed");
        Ok(())
    };
    tokio::select! {
        result = work => result,
        () = stop.cancelled() => bail!("interrupted"),
    }
}

// === impl Checks ===

impl Checks {
    /// Runs one check. Its failure is printed and does not stop the others; only a broken output does.
    async fn check(
        &mut self,
        claim: &str,
        work: impl AsyncFnOnce(&mut World) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let result = match tokio::time::timeout(DEADLINE, Box::pin(work(&mut self.world))).await {
            Ok(result) => result,
            Err(_elapsed) => Err(anyhow::anyhow!("not done within {} s", DEADLINE.as_secs())),
        };
        match result {
            Ok(()) => {
                self.passed += 1;
                output::line(&format!("ok    {claim}"))?;
            }
            Err(reason) => {
                self.failed += 1;
                output::line(&format!("FAIL  {claim}: {reason:#}"))?;
            }
        }
        Ok(())
    }
}

//! The changes, one at a time, and what they took.

use std::time::Duration;

use meshlite_tests::figures::{Figures, millis};
use tokio::time::{Instant, sleep};

use crate::{
    client::Client,
    cluster::Cluster,
    objects::{GROWING, MOVING, host},
    origin,
    planes::Planes,
};

/// Longer than the control plane waits for more changes after one, and than it takes to write back what became of it.
const QUIET: Duration = Duration::from_millis(300);
/// Durations that the control plane measures of each change.
const STAGES: [(&str, &str, &str); 2] = [
    (
        "compile_ms",
        "meshlite_compile_duration_seconds",
        "of it, compiling in the control plane (mean)",
    ),
    (
        "install_ms",
        "meshlite_convergence_seconds",
        "of it, from publication until the ingress has installed it and said so (mean)",
    ),
];

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Services with an Ingress each, beside those that change.
    services: u32,
    /// Of each kind.
    changes: u32,
}

impl Plan {
    pub(crate) const FULL: Self = Self {
        services: 1_000,
        changes: 250,
    };
    pub(crate) const QUICK: Self = Self {
        services: 100,
        changes: 100,
    };
}

/// Measures, and prints a table and one line of JSON.
pub(crate) async fn run(plan: Plan) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("meshlite-propagation-")
        .tempdir()?;
    let origins = origin::start().await?;
    let cluster = Cluster::start(plan.services, origins[0]).await?;
    let planes = Planes::start(&cluster, folder.path()).await?;
    eprintln!("everything is served; changing it");
    let mut client = Client::connect(planes.http).await?;
    let [moving, growing] = [host(MOVING), host(GROWING)];
    let before = stages(&planes).await?;
    let (mut moved, mut grown) = (Vec::new(), Vec::new());
    for change in 0..plan.changes {
        sleep(QUIET).await;
        let to = usize::from(change % 2 == 0);
        let (port, name) = (origins[to].port(), origin::NAMES[to]);
        let (answered, served) = tokio::try_join!(
            cluster.move_endpoint(port),
            client.until(&moving, "/", |answer| answer.body == name)
        )?;
        moved.push(after(answered, served));
        sleep(QUIET).await;
        let path = format!("/{change}");
        let (answered, served) = tokio::try_join!(
            cluster.add_path(&path),
            client.until(&growing, &path, |answer| answer.status == 200)
        )?;
        grown.push(after(answered, served));
    }
    let mut figures = Figures::default();
    let all = [&moved[..], &grown].concat();
    figures.add("changes", all.len(), "changes, one at a time");
    let routes = plan.services + 2;
    figures.add("ingresses", routes, "Ingresses, each with a host");
    for (prefix, times, what) in [
        (
            "",
            all,
            "from the API server's answer to a request that is served so",
        ),
        ("endpoint_", moved, "the same, of an endpoint that moved"),
        ("path_", grown, "the same, of a path that was added"),
    ] {
        for percent in [50, 99] {
            let time = percentile(times.clone(), percent);
            figures.add(
                &format!("{prefix}p{percent}_ms"),
                millis(time),
                &format!("{what}, p{percent}"),
            );
        }
    }
    let now = stages(&planes).await?;
    for ((key, _, what), (before, now)) in STAGES.into_iter().zip(before.into_iter().zip(now)) {
        let count = (now.1 - before.1).max(1.0);
        let mean = Duration::from_secs_f64(((now.0 - before.0) / count).max(0.0));
        figures.add(key, millis(mean), what);
    }
    planes.stop().await?;
    Ok(figures.print("propagation", std::io::stdout().lock())?)
}

async fn stages(planes: &Planes) -> anyhow::Result<Vec<(f64, f64)>> {
    let mut sums = Vec::new();
    for (_, metric, _) in STAGES {
        sums.push(planes.histogram(metric).await?);
    }
    Ok(sums)
}

/// Zero where it was served before the API server had answered.
fn after(answered: Instant, served: Instant) -> Duration {
    served.saturating_duration_since(answered)
}

/// The smallest of them that so many percent are not above.
fn percentile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort_unstable();
    let rank = (times.len() * percent).div_ceil(100).max(1);
    times.get(rank - 1).copied().unwrap_or_default()
}

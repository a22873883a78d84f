//! What is measured beside the clients of one control plane: the floor, a smaller cluster, and full data planes.

use meshlite_tests::figures::{median, millis};
use tokio::{io::AsyncWriteExt as _, time::sleep};

use super::{Bench, SIZE, micros};
use crate::{
    changes::{OneByOne, QUIET, one_by_one},
    cluster::Cluster,
    fleet::{Fleet, Target},
    floor,
    nodes::Nodes,
    process::Process,
    server::Server,
    world::Size,
};

impl Bench {
    /// A bare server with the same certificate sends the same bytes to as many clients.
    pub(super) async fn floor(
        &mut self,
        commit: &[Vec<u8>],
        ours: &OneByOne,
    ) -> anyhow::Result<()> {
        floor::write(&self.folder.join("commit"), commit)?;
        let program = std::env::current_exe()?;
        let arguments = ["floor".as_ref(), self.folder.as_os_str()];
        let mut process = Process::start(&program, arguments, &self.folder.join("log"))?;
        let target = Target {
            url: format!("https://{}", process.first_line().await?),
            tls: Some(Target::credentials(&self.folder)),
            proves: false,
        };
        let mut input = process.input()?;
        let mut fleet = Fleet::new(target, self.plan.streams);
        fleet.grow(self.plan.streams).await?;
        let floor = one_by_one(&fleet, &process, self.plan.changes, async || {
            Ok(input.write_all(b"go\n").await?)
        })
        .await?;
        self.figures.add(
            "floor_p99_ms",
            floor.p99,
            "a bare tonic server sends the same bytes, to a client's ACK",
        );
        self.figures.add(
            "floor_last_ms",
            floor.last,
            "the same, the last client (mean over the changes)",
        );
        self.figures.add(
            "floor_cpu_us",
            micros(floor.cpu),
            "its processor time for that",
        );
        self.figures.add(
            "floor_rss_mb",
            process.resident_mb()?,
            "its memory with as many streams",
        );
        self.figures.add(
            "one_change_vs_floor",
            ratio(ours.p99, floor.p99),
            "p99 of one change, to the floor's",
        );
        self.figures.add(
            "cpu_vs_floor",
            ratio(micros(ours.cpu), micros(floor.cpu)),
            "processor time of one change, to the floor's",
        );
        Ok(())
    }

    /// A tenth of the Services for as many clients: a change costs the same.
    pub(super) async fn fewer_services(&mut self) -> anyhow::Result<()> {
        let size = Size {
            services: SIZE.services / 10,
            ..SIZE
        };
        let mut cluster = Cluster::serve(size, self.key.jwks(), &self.folder).await?;
        let server = Server::start(&self.folder, &cluster, true).await?;
        let mut fleet = Fleet::new(server.target(&self.folder), self.plan.streams);
        fleet.grow(self.plan.streams).await?;
        let one = one_by_one(&fleet, &server.process, self.plan.changes, async || {
            cluster.change()
        })
        .await?;
        self.figures.add(
            "cpu_us_per_change_1000_services",
            micros(one.cpu),
            "processor time of the server for one change with a tenth of the Services",
        );
        self.figures.add(
            "rss_mb_1000_services",
            server.process.resident_mb()?,
            "server, resident, with as many clients",
        );
        Ok(())
    }

    /// Data planes as they run on nodes, one process each.
    pub(super) async fn full_nodes(&mut self) -> anyhow::Result<()> {
        let server = Server::start(&self.folder, &self.cluster, true).await?;
        let (ca, tokens) = Target::credentials(&self.folder);
        let log = self.folder.join("log");
        let nodes = Nodes::start(self.plan.nodes, &server.url(), &ca, &tokens, &log).await?;
        let mut times = Vec::new();
        for _ in 0..self.plan.changes.div_ceil(2) {
            sleep(QUIET).await;
            times.push(nodes.installed_after(|| self.cluster.change()).await?);
        }
        self.figures.add(
            "full_nodes",
            self.plan.nodes,
            "`meshlite node --mode memory`, apart from the clients",
        );
        self.figures.add(
            "full_nodes_one_change_ms",
            millis(median(times)),
            "one endpoint changed, until all have installed it (median)",
        );
        self.figures.add(
            "full_node_peak_rss_mb",
            nodes.peak_mb()?,
            "the most resident memory of a node",
        );
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures of some digits")]
fn ratio(ours: u64, floor: u64) -> f64 {
    (ours as f64 / floor.max(1) as f64 * 100.0).round() / 100.0
}

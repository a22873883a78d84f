//! Services: cluster IPs, node ports, UDP, several ports, session affinity, no virtual IP.

use std::net::SocketAddr;

use anyhow::{Context, ensure};

use super::{
    super::{
        client,
        status::{self, eventually},
    },
    Checks,
    world::{World, all_of},
};

pub(super) async fn check(checks: &mut Checks) -> anyhow::Result<()> {
    checks
        .check(
            "a ClusterIP spreads connections over its three endpoints",
            async |world| {
                let web = world.cluster_ip("web", 80).await?;
                let pods = world.pods(web, 30).await?;
                all_of(pods.keys(), "web-", 3)?;
                ensure!(pods.values().all(|count| *count >= 5), "unevenly: {pods:?}");
                Ok(())
            },
        )
        .await?;
    checks
        .check(
            "a NodePort answers on the node's address and on a port of its own",
            async |world| {
                let service = world.service("web-node-port").await?;
                let port = service.ports.first().context("no port")?;
                let node_port = port.node_port.context("no node port is allocated")?;
                ensure!(
                    node_port != port.port,
                    "the node port is the Service's port"
                );
                let node = SocketAddr::new(world.mesh.layout.node.into(), node_port);
                all_of(world.pods(node, 12).await?.keys(), "web-", 3)?;
                let virtual_ip = world.cluster_ip("web-node-port", port.port).await?;
                all_of(world.pods(virtual_ip, 12).await?.keys(), "web-", 3)
            },
        )
        .await?;
    checks
        .check(
            "a UDP Service answers, and spreads clients over its endpoints",
            async |world| {
                let echo = world.cluster_ip("echo-udp", 5300).await?;
                let mut pods = Vec::new();
                for _ in 0..10 {
                    let answer = client::udp(echo, "ping").await?;
                    let (pod, text) = answer.split_once(": ").context("no name in the answer")?;
                    ensure!(text == "ping", "{text:?} came back");
                    pods.push(pod.to_owned());
                }
                all_of(&pods, "api-", 2)
            },
        )
        .await?;
    checks
        .check(
            "each of a Service's two ports reaches its own target port",
            async |world| {
                for (port, target) in [(80, ":8080"), (9000, ":9090")] {
                    let addr = world.cluster_ip("api", port).await?;
                    let answer = client::get(addr, "localhost", "/").await?;
                    let served_at = answer
                        .headers
                        .get("x-pod-address")
                        .context("no address in the answer")?;
                    let served_at = served_at.to_str()?;
                    ensure!(
                        served_at.ends_with(target),
                        "port {port} reached {served_at}, not {target}"
                    );
                }
                Ok(())
            },
        )
        .await?;
    affinity(checks).await?;
    checks
        .check(
            "headless and ExternalName Services get no virtual IP",
            no_virtual_ip,
        )
        .await
}

async fn affinity(checks: &mut Checks) -> anyhow::Result<()> {
    checks
        .check(
            "with sessionAffinity ClientIP a client stays with its Pod",
            async |world| {
                let sticky = world.cluster_ip("sticky", 80).await?;
                all_of(world.pods(sticky, 20).await?.keys(), "web-", 1)
            },
        )
        .await?;
    checks
        .check(
            "sessionAffinity set to None while it runs: the client is spread again; set back, it stays",
            async |world| {
                let sticky = world.cluster_ip("sticky", 80).await?;
                let with_affinity = world.folder.read("session-affinity.yaml")?;
                world.edit(
                    "session-affinity.yaml",
                    &[
                        ("sessionAffinity: ClientIP", "sessionAffinity: None"),
                        (
                            "  sessionAffinityConfig:\n    clientIP:\n      timeoutSeconds: 10800\n",
                            "",
                        ),
                    ],
                )?;
                eventually(async || all_of(world.pods(sticky, 20).await?.keys(), "web-", 3)).await?;
                world.folder.write("session-affinity.yaml", &with_affinity)?;
                eventually(async || all_of(world.pods(sticky, 20).await?.keys(), "web-", 1)).await
            },
        )
        .await
}

async fn no_virtual_ip(world: &mut World) -> anyhow::Result<()> {
    for name in ["db", "docs"] {
        let service = world.service(name).await?;
        ensure!(
            service.cluster_ips.is_empty(),
            "{name} has {:?}",
            service.cluster_ips
        );
    }
    let backends = world
        .view()
        .await?
        .endpoints_of_service("default", "db")
        .ready;
    ensure!(
        backends == 2,
        "the headless Service has {backends} endpoints, not 2"
    );
    let table = status::node_table(world.mesh.layout.node_metrics).await?;
    let mut servers = table.virtual_servers.iter();
    let served = servers.find(|server| matches!(server.service.as_str(), "db" | "docs"));
    ensure!(served.is_none(), "the node serves {served:?}");
    Ok(())
}

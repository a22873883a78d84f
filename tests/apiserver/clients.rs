//! Clients that cannot take something, and clients that stand still.

use std::{fs, time::Duration};

use meshlite_proto::v1;
use meshlite_snapshot::ResourceType;
use meshlite_tests::{
    apiserver::{self, eventually},
    programs::meshlite,
    replica::Replica,
    soak::soaked,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::command::programs;
use crate::support::{Asked, Cluster, Follower, converged, host_address_or_say_so, objects, start};

const SERVICES: usize = 1000;
const REFUSED: &str = "s-500";
/// Growth that is noise.
const FLAT_KIB: u64 = 48 * 1024;

/// The clients that a replica knows of which did not take the Service.
async fn rejections(asked: &Asked, service: &str) -> Result<Vec<(String, v1::Client)>, String> {
    let all = asked.clients().await?;
    if !all.unreachable.is_empty() {
        return Err(format!("{:?}", all.unreachable));
    }
    let rejecting = |client: v1::Client| {
        let of_it = client.rejections.iter().find(|r| r.name == service)?;
        Some((of_it.message.clone(), client))
    };
    Ok(all.clients.into_iter().filter_map(rejecting).collect())
}

/// Waits until one of them writes; which one.
async fn leader(replicas: &[Replica; 2]) -> usize {
    eventually("one replica writes", async || {
        for (number, replica) in replicas.iter().enumerate() {
            if Asked::plaintext(&replica.url()).server().await?.leader {
                return Ok(number);
            }
        }
        Err("none does".to_owned())
    })
    .await
}

/// Waits until `meshlite status`, asking this replica, shows people that one node does not take the Service, and why.
async fn command_tells(replica: &Replica, service: &str) {
    let Some(program) = meshlite() else {
        return;
    };
    let url = format!("--control-plane={}", replica.url());
    eventually("`meshlite status` tells of it", async || {
        let table = programs::run(&program, &["status", &url]).await;
        let wanted = [service, Follower::REFUSAL];
        // It has what it was sent, and serves it but for that one: that is no convergence.
        if table.status == Some(1) && wanted.iter().all(|text| table.out.contains(text)) {
            Ok(())
        } else {
            Err(format!("{table:?}"))
        }
    })
    .await;
    let json = programs::run(&program, &["status", &url, "-o", "json"]).await;
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["totals"]["rejections"], 1, "{json}");
    let [node] = json["clients"].as_array().unwrap().as_slice() else {
        panic!("{json}");
    };
    assert_eq!(node["node"], "n1", "{node}");
    assert_ne!(node["replica"], replica.name(), "{node}");
    let rejection = &node["rejections"][0];
    assert_eq!(rejection["name"], service, "{node}");
    assert_eq!(rejection["message"], Follower::REFUSAL, "{node}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_a_thousand_is_rejected_by_a_node_of_the_follower_and_everybody_is_told() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let Some(host) = host_address_or_say_so() else {
        return;
    };
    let cluster = Cluster::new(api, "rejected").await;
    let ns = cluster.namespace.as_str();
    let names: Vec<_> = (0..SERVICES).map(|number| format!("s-{number}")).collect();
    let services = names.iter().map(|name| objects::service(name, 80));
    cluster.create_all("services", services.collect()).await;
    let mut replicas = Vec::new();
    for name in ["replica-1", "replica-2"] {
        let mut config = cluster.config(api, name).await;
        config.listen.set_ip(host);
        config.peer_service = Some("replicas".to_owned());
        replicas.push(start(config));
    }
    let Ok(replicas) = <[Replica; 2]>::try_from(replicas) else {
        unreachable!("there are two");
    };
    cluster.publish_replicas(&replicas).await;
    let leading = leader(&replicas).await;
    let follower = &replicas[1 - leading];

    let refused = format!("{ns}/{REFUSED}");
    let node = Follower::picky("n1", &[follower.url()], &refused);
    node.holds("999 of 1,000 are applied", |noted| {
        let held = noted.names(ResourceType::Service);
        let of_ours = names
            .iter()
            .filter(|name| held.contains(&format!("{ns}/{name}")));
        match of_ours.count() {
            count if count == SERVICES - 1 => Ok(()),
            count => Err(format!("{count} are")),
        }
    })
    .await;
    node.has(ResourceType::Service, &refused, false).await;
    for replica in &replicas {
        let asked = Asked::plaintext(&replica.url());
        eventually(
            &format!("{} tells of it", replica.name()),
            async || match rejections(&asked, &refused).await?.as_slice() {
                [(message, client)]
                    if message == Follower::REFUSAL && client.replica == follower.name() =>
                {
                    Ok(())
                }
                other => Err(format!("{other:?}")),
            },
        )
        .await;
    }
    command_tells(&replicas[leading], &refused).await;
    let event = eventually("there is an Event on the Service", async || {
        let events = cluster.get("events").await;
        let about = |event: &&Value| event["involvedObject"]["name"] == REFUSED;
        let found = events["items"].as_array().unwrap().iter().find(about);
        found.cloned().ok_or_else(|| events.to_string())
    })
    .await;
    assert_eq!(event["type"], "Warning", "{event}");
    assert_eq!(event["involvedObject"]["kind"], "Service", "{event}");
    let message = event["message"].as_str().unwrap();
    assert!(message.contains(Follower::REFUSAL), "{event}");
    assert!(message.contains("n1"), "{event}");
    let by = replicas[leading].name();
    assert_eq!(event["reportingInstance"], by, "{event}");
}

fn resident_kib(replica: &Replica) -> u64 {
    let pid = replica.pid().unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_client_gets_one_commit_for_all_that_it_missed() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "paused").await;
    let replica = cluster.replica(api, "replica-1").await;
    for number in 0..20 {
        let service = objects::service(&format!("s-{number}"), 80);
        cluster.create("services", &service).await;
    }
    let asked = Asked::plaintext(&replica.url());
    let urls = [replica.url()];
    let [paused, lively] = ["paused", "lively"].map(|name| Follower::node(name, &urls));
    let last = format!("{}/s-19", cluster.namespace);
    for node in [&paused, &lively] {
        node.has(ResourceType::Service, &last, true).await;
        converged(node, &asked).await;
    }

    paused.pause();
    let installed = paused.noted().history.len();
    let before = resident_kib(&replica);
    let (rounds, pause) = soaked((5, Duration::ZERO), (500, Duration::from_secs(30)));
    let (began, mut round) = (Instant::now(), 0);
    while round < rounds || began.elapsed() < pause {
        round += 1;
        let changes = (0..20).map(|number| {
            let ports = json!([{"name": "http", "port": 1000 + round}]);
            (
                format!("services/s-{number}"),
                json!({"spec": {"ports": ports}}),
            )
        });
        cluster.merge_all(changes.collect()).await;
        // Each round is a commit of its own for the one that keeps up.
        let is_done = |port: u16| i32::from(port) == 1000 + round;
        lively
            .service(&last, |service| is_done(service.ports[0].port))
            .await;
    }
    converged(&lively, &asked).await;
    let after = resident_kib(&replica);
    assert!(after < before + FLAT_KIB, "{before} KiB became {after} KiB");
    assert_eq!(paused.noted().history.len(), installed);
    paused.resume();
    converged(&paused, &asked).await;
    // At most the one that it had in hand when it was paused, and one for all the rest.
    let commits = paused.noted().history.len() - installed;
    assert!((1..=2).contains(&commits), "{commits} commits");
}

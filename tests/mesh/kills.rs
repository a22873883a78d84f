//! The control plane is killed over and over while the manifests change.

use std::sync::{Arc, Mutex};

use meshlite_proto::{
    connect::Security,
    subscribe::{ClientConfig, subscribe},
    v1,
};
use meshlite_snapshot::Topic;
use meshlite_tests::soak::soaked;
use tokio_util::sync::CancellationToken;

use crate::{PROCESS, manifests::Manifests, world::World};

/// Services that stay; those after them come and go.
const STAYING: u16 = 6;

/// A data plane that notes what it is told to remove.
fn note_removals(
    world: &World,
    role: v1::Role,
    topics: &[Topic],
    stop: &CancellationToken,
) -> Arc<Mutex<Vec<String>>> {
    let mut subscription = subscribe(
        ClientConfig {
            endpoints: vec![format!("http://{}", world.address)],
            identity: v1::ClientIdentity::default(),
            role,
            topics: topics.to_vec(),
            security: Security::Plaintext,
            cache: None,
        },
        stop.clone(),
    );
    let removals = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&removals);
    tokio::spawn(async move {
        while let Some(commit) = subscription.next().await {
            let removed = commit.changes().iter().filter(|change| change.removed);
            let removed = removed.map(|change| format!("{} {}", change.topic, change.name));
            noted.lock().expect("nobody panics").extend(removed);
            commit.acknowledge();
        }
    });
    removals
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_is_killed_takes_nothing_from_the_data_planes() {
    let _beside = PROCESS.read().await;
    let mut manifests = Manifests::new(STAYING);
    let mut world = World::new(&manifests).await;
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let removals = [
        note_removals(&world, v1::Role::L4Node, &Topic::NODE, &stop),
        note_removals(&world, v1::Role::Ingress, &Topic::INGRESS, &stop),
    ];
    world.converged(&manifests).await;
    for kill in 0..soaked(20, 200) {
        manifests.put(kill % STAYING);
        match kill % 4 {
            0 => manifests.put(STAYING),
            2 => manifests.delete(STAYING),
            // Often enough in the middle of reading, compiling or sending.
            _ => {}
        }
        match kill % 5 {
            0 => drop(world.converged(&manifests).await),
            // The data planes are about to come back.
            1 | 2 => world.serves().await,
            _ => {}
        }
        world.kill();
        world.start(&manifests).await;
    }
    world.converged(&manifests).await;
    let comes_and_goes = format!("default/s{STAYING}");
    for removals in removals {
        let removals = removals.lock().expect("nobody panics");
        let wrong: Vec<_> = removals
            .iter()
            .filter(|removal| {
                !removal.contains(&comes_and_goes)
                    && !removal.contains(&format!("s{STAYING}.example.com"))
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

//! Manifests are edited while the control plane comes and goes.

use std::collections::BTreeMap;

use meshlite_tests::dice::Dice;

use crate::{
    PROCESS,
    manifests::Manifests,
    world::{Fetched, World},
};

const SERVICES: u16 = 8;

/// One edit; gives back the Service that it deletes.
fn edit(manifests: &mut Manifests, dice: &mut Dice) -> Option<u16> {
    let service = dice.below(SERVICES);
    match dice.below(5) {
        0 => {
            manifests.delete(service);
            return Some(service);
        }
        1 => manifests.break_file(service),
        _ => manifests.put(service),
    }
    None
}

/// Cluster IPs and node ports.
fn allocations(fetched: &Fetched) -> BTreeMap<String, (Vec<String>, Vec<u32>)> {
    let of = |(name, service): (&String, &meshlite_proto::v1::Service)| {
        let node_ports = service.ports.iter().map(|port| port.node_port).collect();
        (name.clone(), (service.cluster_ips.clone(), node_ports))
    };
    fetched.services.iter().map(of).collect()
}

async fn edited_through_restarts(seed: u64) {
    let mut dice = Dice::new(seed);
    let mut manifests = Manifests::new(SERVICES);
    let mut world = World::new(&manifests).await;
    let mut allocated = allocations(&world.converged(&manifests).await);
    assert_eq!(allocated.len(), usize::from(SERVICES));
    for round in 0..6 {
        let is_down = match dice.below(3) {
            0 => {
                world.stop().await;
                true
            }
            1 => {
                world.kill();
                true
            }
            _ => false,
        };
        for _ in 0..=dice.below(4) {
            if let Some(deleted) = edit(&mut manifests, &mut dice) {
                allocated.remove(&format!("default/s{deleted}"));
            }
        }
        if is_down {
            world.start(&manifests).await;
        }
        let now = allocations(&world.converged(&manifests).await);
        for (name, before) in &allocated {
            assert_eq!(
                now.get(name),
                Some(before),
                "{name}, seed {seed}, round {round}"
            );
        }
        allocated = now;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_planes_agree_and_allocations_stay_whatever_is_edited_and_restarted() {
    let _beside = PROCESS.read().await;
    for seed in [1, 2] {
        edited_through_restarts(seed).await;
    }
}

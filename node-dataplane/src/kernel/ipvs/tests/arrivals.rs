//! Virtual servers that arrive in numbers, all of them under way at a time.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, mpsc},
};

use meshlite_ipvs::ServiceKey;

use super::{Ipvs, Options, again, is_in_namespace, options};
use crate::{
    config::VipBinding,
    host::Network,
    kernel::{Kernel as _, ipvs::helpers::Helpers, worker::Worker},
    plan::Step,
    table::LocalDetector,
    testing::{key, server},
};

/// How many arrive, and how many of them are told at a time.
const ALL: u8 = 199;
const TOGETHER: usize = 50;

/// How many addresses rules help, IPVS serves at, and are bound.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    helped: usize,
    served: usize,
    bound: usize,
}

impl Seen {
    fn now() -> Self {
        let mut helpers = Helpers::new().unwrap();
        helpers.read().unwrap();
        let helped = helpers.places().map(|key| key.frontend.address.ip());
        let services = meshlite_ipvs::Ipvs::connect().unwrap().services().unwrap();
        let served = services.iter().filter_map(|found| match found.service.key {
            ServiceKey::Address { address, .. } => Some(address),
            ServiceKey::Mark { .. } => None,
        });
        Self {
            helped: helped.collect::<BTreeSet<IpAddr>>().len(),
            served: served.collect::<BTreeSet<IpAddr>>().len(),
            bound: Network::connect().unwrap().local_routes().unwrap().len(),
        }
    }
}

/// Keeps a thread at nothing, after all that it was asked for before, until what this gives is dropped.
fn hold<T: Send + 'static>(worker: &Worker<T>) -> mpsc::Sender<()> {
    let (held, free) = mpsc::channel();
    worker.post(move |_| assert!(free.recv().is_err(), "nothing is sent"));
    held
}

/// Waits until a thread has done all that it was asked for before.
async fn idle<T: Send + 'static>(worker: &Worker<T>) {
    worker.run(|_| ()).await.unwrap();
}

fn steps() -> Vec<Step> {
    let inside = Step::SetInside {
        networks: Arc::default(),
        pods: LocalDetector::None,
    };
    let add = |n| Step::AddVirtualServer {
        key: key(&format!("TCP 10.96.0.{n}:80")),
        server: server(&[("10.244.0.1:80", 1), ("10.244.0.2:80", 1)]),
    };
    [inside].into_iter().chain((0..ALL).map(add)).collect()
}

#[tokio::test]
async fn of_many_that_arrive_each_has_its_rules_first_and_its_address_last() {
    if !is_in_namespace() {
        return;
    }
    let options = Options {
        vip_binding: VipBinding::Route,
        ..options()
    };
    let mut ipvs: Ipvs = again(options);
    ipvs.read().await.unwrap();
    let silent = hold(&ipvs.sender);
    let mut under_way = Vec::new();
    for some in steps().chunks(TOGETHER) {
        under_way.push(ipvs.begin(some.to_vec()).await);
    }
    idle(&ipvs.worker).await;
    let all = usize::from(ALL);
    let seen = |helped, served, bound| Seen {
        helped,
        served,
        bound,
    };
    assert_eq!(Seen::now(), seen(all, 0, 0));
    let unbound = hold(&ipvs.worker);
    drop(silent);
    idle(&ipvs.sender).await;
    assert_eq!(Seen::now(), seen(all, all, 0));
    drop(unbound);
    for begun in under_way {
        for result in ipvs.finish(begun).await.results {
            result.unwrap();
        }
    }
    assert_eq!(Seen::now(), seen(all, all, all));
}

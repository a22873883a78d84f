//! Which endpoint a request goes to.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use http::Response;
use meshlite_snapshot::{Cluster, HashPart, LoadBalancing, StickyCookie};
use tokio::sync::Semaphore;

use super::put_cluster;
use crate::tests::{
    mesh::Mesh,
    origin::{Answer, Client, Origin, full, get, request},
};

const NAMES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// Origins that answer with their names.
async fn origins(count: usize) -> (Vec<Origin>, Vec<SocketAddr>) {
    let mut origins = Vec::new();
    for name in NAMES.into_iter().take(count) {
        origins.push(Origin::echo(name).await);
    }
    let addresses = origins.iter().map(|origin| origin.address).collect();
    (origins, addresses)
}

async fn balanced(count: usize, change: impl FnOnce(&mut Cluster)) -> (Mesh, Vec<Origin>) {
    let mut mesh = Mesh::start().await;
    let (origins, addresses) = origins(count).await;
    mesh.put_endpoints("web", &addresses);
    put_cluster(&mut mesh, change).await;
    (mesh, origins)
}

/// How many of so many requests each origin answers.
async fn shares(mesh: &Mesh, requests: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    let mut client = Client::connect(mesh.http()).await;
    for _ in 0..requests {
        *shares.entry(client.get("h", "/").await.body).or_default() += 1;
    }
    shares
}

#[tokio::test]
async fn a_hundred_requests_reach_all_of_ten_endpoints() {
    for load_balancing in [
        LoadBalancing::RoundRobin,
        LoadBalancing::LeastRequest,
        LoadBalancing::PeakEwma,
    ] {
        let (mesh, _origins) = balanced(10, |web| web.load_balancing = load_balancing).await;
        let shares = shares(&mesh, 100).await;
        assert_eq!(shares.len(), 10, "{load_balancing:?}: {shares:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_busy_gets_few_requests() {
    let mut mesh = Mesh::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let slow = Origin::answering(move |_| {
        let gate = Arc::clone(&opened);
        async move {
            drop(gate.acquire().await);
            Response::new(full("slow"))
        }
    })
    .await;
    let fast = Origin::echo("fast").await;
    mesh.put_endpoints("web", &[slow.address, fast.address]);
    put_cluster(&mut mesh, |_| {}).await;
    // The first request to the slow one stays there, and then there is always a less busy one.
    let waiting = (0..2).map(|_| get(mesh.http(), "h", "/"));
    let waiting: Vec<_> = waiting.map(tokio::spawn).collect();
    crate::tests::mesh::eventually("a request at the slow one", async || {
        match slow.requests() {
            1 => Ok(()),
            other => Err(format!("{other} requests")),
        }
    })
    .await;
    let shares = shares(&mesh, 40).await;
    assert!(slow.requests() <= 2, "{shares:?}");
    gate.add_permits(100);
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_fast_endpoint_gets_more_than_a_slow_one_by_peak_ewma() {
    let mut mesh = Mesh::start().await;
    let slow = Origin::answering(async |_| {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        Response::new(full("slow"))
    })
    .await;
    let fast = Origin::echo("fast").await;
    mesh.put_endpoints("web", &[slow.address, fast.address]);
    put_cluster(&mut mesh, |web| {
        web.load_balancing = LoadBalancing::PeakEwma;
    })
    .await;
    let shares = shares(&mesh, 60).await;
    let (slow, fast) = (shares.get("slow"), shares.get("fast"));
    assert!(slow < fast, "{shares:?}");
}

#[tokio::test]
async fn a_hash_brings_equal_requests_to_one_endpoint_and_others_to_others() {
    let (mesh, _origins) = balanced(10, |web| {
        web.load_balancing = LoadBalancing::Ketama;
        web.hash_by = vec![HashPart::Path, HashPart::Header("x-user".into())];
    })
    .await;
    let mut owners = BTreeMap::new();
    for key in 0..50 {
        let path = format!("/{key}");
        let first = get(mesh.http(), "h", &path).await.body;
        for _ in 0..2 {
            assert_eq!(get(mesh.http(), "h", &path).await.body, first);
        }
        *owners.entry(first).or_insert(0) += 1;
    }
    assert!(owners.len() >= 7, "{owners:?}");
}

#[tokio::test]
async fn when_an_endpoint_goes_only_its_keys_move() {
    let (mut mesh, origins) = balanced(5, |web| {
        web.load_balancing = LoadBalancing::Ketama;
        web.hash_by = vec![HashPart::Path];
    })
    .await;
    let mut before = Vec::new();
    for key in 0..40 {
        before.push(get(mesh.http(), "h", &format!("/{key}")).await.body);
    }
    let left: Vec<_> = origins
        .iter()
        .skip(1)
        .map(|origin| origin.address)
        .collect();
    mesh.put_endpoints("web", &left);
    assert_eq!(mesh.apply().await, []);
    for (key, owner) in before.iter().enumerate() {
        let now = get(mesh.http(), "h", &format!("/{key}")).await.body;
        assert!(now == *owner || owner == "0", "{key}: {owner} became {now}");
    }
}

fn mk_cookie(balanced: bool) -> StickyCookie {
    StickyCookie {
        name: "route".into(),
        path: None,
        domain: None,
        max_age_seconds: None,
        secure: None,
        http_only: true,
        same_site: None,
        balanced,
        change_on_failure: false,
        canary: true,
    }
}

async fn with_cookie(mesh: &Mesh, cookie: &str) -> Answer {
    let mut asked = request("GET", "h", "/");
    let cookie = format!("other=1; {cookie}").parse().unwrap();
    asked.headers_mut().insert("cookie", cookie);
    let mut client = Client::connect(mesh.http()).await;
    Answer::read(client.send(asked).await.unwrap()).await
}

#[tokio::test]
async fn a_cookie_keeps_a_client_at_its_endpoint() {
    for balanced_cookie in [false, true] {
        let cookie = mk_cookie(balanced_cookie);
        let (mesh, origins) = balanced(5, |web| web.sticky = Some(cookie)).await;
        let first = get(mesh.http(), "h", "/").await;
        let set = first.header("set-cookie").to_owned();
        assert!(
            set.starts_with("route=") && set.ends_with("; Path=/; HttpOnly"),
            "{set}"
        );
        let (pair, _) = set.split_once(';').unwrap();
        for origin in &origins {
            assert!(!pair.contains(&origin.address.port().to_string()), "{pair}");
        }
        for _ in 0..20 {
            let again = with_cookie(&mesh, pair).await;
            assert_eq!(
                (again.body.as_str(), again.header("set-cookie")),
                (first.body.as_str(), "")
            );
        }
    }
}

#[tokio::test]
async fn a_cookie_whose_endpoint_is_gone_is_replaced() {
    let (mut mesh, origins) = balanced(3, |web| web.sticky = Some(mk_cookie(false))).await;
    let first = get(mesh.http(), "h", "/").await;
    let set = first.header("set-cookie").to_owned();
    let pair = set.split(';').next().unwrap();
    let left = origins.iter().zip(NAMES);
    let left: Vec<_> = left
        .filter(|(_, name)| *name != first.body)
        .map(|(origin, _)| origin.address)
        .collect();
    mesh.put_endpoints("web", &left);
    assert_eq!(mesh.apply().await, []);
    let moved = with_cookie(&mesh, pair).await;
    assert_eq!(moved.status, 200);
    assert_ne!(moved.body, first.body);
    let new = moved.header("set-cookie");
    assert!(new.starts_with("route=") && new != set, "{new}");
}

#[tokio::test]
async fn a_persistent_cookie_holds_when_endpoints_come() {
    let (mut mesh, origins) = balanced(2, |web| web.sticky = Some(mk_cookie(false))).await;
    let first = get(mesh.http(), "h", "/").await;
    let pair = first
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let (more, mut addresses) = self::origins(5).await;
    addresses.extend(origins.iter().map(|origin| origin.address));
    mesh.put_endpoints("web", &addresses);
    assert_eq!(mesh.apply().await, []);
    for _ in 0..10 {
        assert_eq!(with_cookie(&mesh, &pair).await.body, first.body);
    }
    assert_eq!(more.iter().map(Origin::requests).sum::<usize>(), 0);
}

#[tokio::test]
async fn a_service_can_be_reached_at_its_own_address() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("vip").await;
    mesh.put_endpoints("web", &[]);
    put_cluster(&mut mesh, |web| {
        web.virtual_ips = vec![origin.address.ip()];
        web.port = Some(origin.address.port());
    })
    .await;
    assert_eq!(get(mesh.http(), "h", "/").await.body, "vip");
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_left_out() {
    let mut mesh = Mesh::start().await;
    let bad = Origin::answering(async |_| {
        let mut response = Response::new(full("bad"));
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        response
    })
    .await;
    let (_good, mut addresses) = origins(3).await;
    addresses.push(bad.address);
    mesh.put_endpoints("web", &addresses);
    put_cluster(&mut mesh, |web| {
        web.load_balancing = LoadBalancing::RoundRobin;
    })
    .await;
    let shares = shares(&mesh, 100).await;
    assert_eq!(shares["bad"], 5, "{shares:?}");
}

#[tokio::test]
async fn the_only_endpoint_is_never_left_out() {
    let mut mesh = Mesh::start().await;
    let bad = Origin::answering(async |_| {
        let mut response = Response::new(full("bad"));
        *response.status_mut() = http::StatusCode::BAD_GATEWAY;
        response
    })
    .await;
    mesh.put_endpoints("web", &[bad.address]);
    put_cluster(&mut mesh, |_| {}).await;
    assert_eq!(shares(&mesh, 20).await["bad"], 20);
}

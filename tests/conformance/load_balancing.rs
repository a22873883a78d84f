//! A Service that is scaled up: every Pod gets some of the requests.

use std::collections::BTreeSet;

use crate::{client, default_backend, mesh::Mesh};

#[tokio::test(flavor = "multi_thread")]
async fn load_balancing_1_a_hundred_requests_reach_all_of_ten_pods() {
    let mut mesh = Mesh::new(default_backend::MANIFEST, &["echo-service"]).await;
    mesh.scale("echo-service", 10).await;
    let address = mesh.http().await;
    let mut pods = BTreeSet::new();
    for _ in 0..100 {
        let answer = client::http(address, "GET", "load-balancing", "/").await;
        let pod = answer.seen_by("echo-service")["pod"].as_u64();
        pods.extend(pod);
    }
    assert_eq!(pods, (0..10).collect());
}

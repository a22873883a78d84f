//! What is written to an API server, by whom, and what happens where it does not take it.

use axum::http::{Method, StatusCode};
use meshlite_compile::Settings;
use meshlite_kubernetes::Connection;
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};

use super::{
    super::*,
    api::{Call, FakeApi},
};
use crate::{
    config::PublishStatus,
    findings::FindingBook,
    pipeline::{Output, Source},
    publish::Publisher,
    stream::Clients,
    watch::Sources,
};

const ADDRESS: &str = "192.0.2.80";
const LEASE: &str = "meshlite-control-plane";

/// A control plane without its servers.
struct Replica {
    leadership: Leadership,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Replica {
    fn start(api: &FakeApi, name: &'static str, address: &str) -> Self {
        let publish_status = PublishStatus::Addresses(vec![address.to_owned()]);
        Self::start_with(api, name, publish_status)
    }

    fn start_with(api: &FakeApi, name: &'static str, publish_status: PublishStatus) -> Self {
        let config = KubernetesConfig {
            connection: Connection {
                kubeconfig: None,
                api_server: None,
            },
            namespace: "meshlite".into(),
            watch_namespaces: Vec::new(),
            lease_name: LEASE.into(),
            publish_status,
            peer_service: None,
        };
        let client = api.client(name);
        let metrics = Arc::new(Metrics::default());
        let (publisher, views) = Publisher::new(Arc::clone(&metrics));
        let (book, _findings) = FindingBook::new(Arc::clone(&metrics));
        let output = Output::new(publisher, book, Arc::clone(&metrics), Sources::default());
        let source = Source::cluster(client.clone(), &config, Settings::default(), output);
        let clients = Clients::new(name, views.clone(), Arc::clone(&metrics));
        let (reporter, leadership) = Reporter::new(
            &config,
            client,
            source.facts(),
            views,
            Peers::none(clients, name),
            Arc::clone(&metrics),
        );
        let stop = CancellationToken::new();
        let (watching, reporting) = (stop.clone(), stop.clone());
        let running = tokio::spawn(async move {
            let watching = source.run(watch::channel(Arc::default()).1, async {}, watching);
            let (watched, ()) = tokio::join!(watching, reporter.run(reporting));
            watched.unwrap();
        });
        Self {
            leadership,
            metrics,
            stop,
            running,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }

    fn scraped(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.metrics.registry()).unwrap();
        text
    }
}

/// An API server with the Service `shop/web`.
fn api() -> FakeApi {
    let api = FakeApi::default();
    let service = json!({"spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
        "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]}});
    api.put("services", "shop", "web", service);
    api
}

fn ingress(class: &str, backend: &str) -> Value {
    json!({"spec": {"ingressClassName": class, "rules": [{"host": "a.example.com", "http": {"paths": [
        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": backend, "port": {"number": 80}}}},
    ]}}]}})
}

fn address(api: &FakeApi, name: &str) -> Value {
    api.get("ingresses", "shop", name)["status"]["loadBalancer"]["ingress"][0]["ip"].clone()
}

/// Lets (paused) time pass until it is so.
async fn passes(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_mins(10), "never: {what}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_is_written_once_and_stays_when_its_writer_stops_and_another_takes_over() {
    let api = api();
    let first = Replica::start(&api, "first", ADDRESS);
    passes("the first leads", || first.leadership.holds()).await;
    // Also one that was not there when the term began.
    api.put("ingresses", "shop", "web", ingress("meshlite", "web"));
    passes("the address is written", || address(&api, "web") == ADDRESS).await;
    let scraped = first.scraped();
    for line in [
        "leader_election_master_status{name=\"meshlite-control-plane\"} 1",
        "meshlite_control_plane_writes_total{kind=\"Ingress\",result=\"ok\"} 1",
    ] {
        assert!(scraped.contains(line), "{line} is not in {scraped}");
    }
    let second = Replica::start(&api, "second", ADDRESS);
    first.stop().await;
    assert_eq!(address(&api, "web"), ADDRESS);
    passes("the second leads", || second.leadership.holds()).await;
    sleep(Duration::from_mins(5)).await;
    assert_eq!(api.writes("/ingresses/").len(), 1);
    let lease = api.get("leases", "meshlite", LEASE);
    assert_eq!(lease["spec"]["leaseTransitions"], 1);
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn where_others_are_faster_it_is_read_and_written_again_within_bounds() {
    let api = api();
    api.put("ingresses", "shop", "web", ingress("meshlite", "web"));
    api.overtake(1);
    let replica = Replica::start(&api, "first", ADDRESS);
    passes("the address is written", || address(&api, "web") == ADDRESS).await;
    let statuses = |api: &FakeApi| -> Vec<u16> {
        let writes = api.writes("/ingresses/web/status");
        writes.iter().map(|call| call.status).collect()
    };
    assert_eq!(statuses(&api), [409, 200]);
    assert_eq!(
        api.get("ingresses", "shop", "web")["metadata"]["annotations"]["by"],
        "somebody 0"
    );

    api.overtake(usize::MAX);
    api.put("ingresses", "shop", "web", ingress("meshlite", "web"));
    sleep(Duration::from_mins(10)).await;
    let tries = statuses(&api).len() - 2;
    assert!((4..40).contains(&tries), "{tries} tries");
    api.overtake(0);
    passes("the address is written", || address(&api, "web") == ADDRESS).await;
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_is_not_asked_for_all_the_time_and_used_once_it_is_there() {
    let api = api();
    for n in 0..20 {
        let name = format!("web-{n}");
        // Something is wrong with each of them.
        api.put("ingresses", "shop", &name, ingress("meshlite", "nobody"));
    }
    api.refuse(Method::PATCH, "/status", StatusCode::FORBIDDEN);
    api.refuse(Method::POST, "/events", StatusCode::FORBIDDEN);
    let replica = Replica::start(&api, "first", ADDRESS);
    passes("it leads", || replica.leadership.holds()).await;
    sleep(Duration::from_mins(10)).await;
    for path in ["/ingresses/", "/events"] {
        let tries = api.writes(path).len();
        assert!((2..=11).contains(&tries), "{tries} tries of {path}");
    }
    api.allow_all();
    passes("all addresses and Events are written", || {
        let all = (0..20).all(|n| address(&api, &format!("web-{n}")) == ADDRESS);
        all && api.list("events").len() >= 20
    })
    .await;
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn objects_that_others_change_all_the_time_rest_and_leave_the_others_their_turn() {
    let api = api();
    let replica = Replica::start(&api, "first", ADDRESS);
    passes("it leads", || replica.leadership.holds()).await;
    let busy: Vec<_> = (0..30).map(|n| format!("busy-{n}")).collect();
    api.put("ingresses", "shop", "quiet", ingress("meshlite", "web"));
    let start = Instant::now();
    for second in 0..60 {
        for name in &busy {
            // It loses its address each time.
            api.put("ingresses", "shop", name, ingress("meshlite", "web"));
        }
        sleep(Duration::from_secs(1)).await;
        assert!(
            second < 30 || address(&api, "quiet") == ADDRESS,
            "the last one waits"
        );
    }
    let bound = start.elapsed().as_secs() / 2 + 1;
    for name in &busy {
        let writes = api.writes(&format!("/{name}/"));
        let written = writes.iter().filter(|call| call.status == 200).count();
        assert!(written as u64 <= bound, "{written} writes of {name}");
    }
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_is_left_alone() {
    let api = api();
    api.put("ingresses", "shop", "web", ingress("meshlite", "web"));
    // The watch does not know yet.
    api.refuse(
        Method::PATCH,
        "/ingresses/web/status",
        StatusCode::NOT_FOUND,
    );
    let replica = Replica::start(&api, "first", ADDRESS);
    passes("it leads", || replica.leadership.holds()).await;
    sleep(Duration::from_mins(1)).await;
    let tries = api.writes("/ingresses/web").len();
    assert!((1..=8).contains(&tries), "{tries} tries");
    replica.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_leader_had_on_its_way_before_it_was_frozen_changes_nothing_afterwards() {
    let api = api();
    let first = Replica::start(&api, "first", "192.0.2.1");
    passes("the first leads", || first.leadership.holds()).await;
    let second = Replica::start(&api, "second", "192.0.2.2");
    let patches = api.hold("first", Method::PATCH, "/ingresses/");
    api.put("ingresses", "shop", "web", ingress("meshlite", "web"));
    sleep(Duration::from_secs(5)).await;
    // It is frozen with a patch on its way.
    api.refuse(Method::PUT, "/leases/", StatusCode::INTERNAL_SERVER_ERROR);
    passes("the first does not lead", || !first.leadership.holds()).await;
    api.allow_all();
    first.running.abort();
    passes("the second leads", || second.leadership.holds()).await;
    let is_written = || address(&api, "web") == "192.0.2.2";
    passes("the second writes", is_written).await;
    patches.send_replace(true);
    passes("the patch of the first arrives", || {
        let writes = api.writes("/ingresses/");
        writes.iter().any(|call| call.who == "first")
    })
    .await;
    assert!(is_written());
    let writes = api.writes("/ingresses/");
    let is_right = |call: &Call| (call.who == "second") == (call.status == 200);
    assert!(writes.iter().all(is_right), "{writes:?}");
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_frozen_leader_that_wakes_writes_nothing() {
    let api = api();
    let first = Replica::start(&api, "first", "192.0.2.1");
    passes("the first leads", || first.leadership.holds()).await;
    // Its renewals do not arrive, and it does not know yet.
    let renewals = api.hold("first", Method::PUT, "/leases/");
    let second = Replica::start(&api, "second", "192.0.2.2");
    passes("the second leads", || second.leadership.holds()).await;
    api.put("ingresses", "shop", "web", ingress("meshlite", "web"));
    passes("the address is written", || !address(&api, "web").is_null()).await;
    renewals.send_replace(true);
    sleep(Duration::from_mins(1)).await;
    let writes = api.writes("/ingresses/");
    assert!(writes.iter().all(|call| call.who == "second"), "{writes:?}");
    assert!(!first.leadership.holds());
    first.stop().await;
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_one_event_that_the_next_leader_goes_on_with() {
    let api = api();
    api.put("ingresses", "shop", "web", ingress("meshlite", "nobody"));
    let foreign = ingress("somebody-else", "nobody");
    api.put("ingresses", "shop", "foreign", foreign);
    let first = Replica::start(&api, "first", ADDRESS);
    passes("there is an Event", || !api.list("events").is_empty()).await;
    let second = Replica::start(&api, "second", ADDRESS);
    first.stop().await;
    passes("the second leads", || second.leadership.holds()).await;
    sleep(Duration::from_mins(1)).await;
    let events = api.list("events");
    let [event] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(event["involvedObject"]["uid"], "uid-of-web");
    assert_eq!(event["count"], 1);
    sleep(Duration::from_mins(10)).await;
    let events = api.list("events");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["count"], 2);
    assert_eq!(events[0]["reportingInstance"], "second");
    // What is mended is not repeated.
    api.put("ingresses", "shop", "web", ingress("meshlite", "web"));
    sleep(Duration::from_mins(30)).await;
    assert_eq!(api.list("events")[0]["count"], 2);
    assert_eq!(api.writes("/ingresses/foreign"), []);
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn addresses_follow_the_service_that_they_are_published_from() {
    let api = api();
    let balancer = |ip: Option<&str>| {
        let given: Vec<_> = ip.into_iter().map(|ip| json!({"ip": ip})).collect();
        json!({"spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "ports": [{"port": 80, "nodePort": 30_080, "protocol": "TCP", "targetPort": 80}]},
            "status": {"loadBalancer": {"ingress": given}}})
    };
    api.put("services", "meshlite", "edge", balancer(Some("192.0.2.1")));
    api.put("ingresses", "shop", "web", ingress("meshlite", "web"));
    let publish = PublishStatus::Service(meshlite_compile::ObjectKey::new("meshlite", "edge"));
    let replica = Replica::start_with(&api, "first", publish);
    passes("the first address", || address(&api, "web") == "192.0.2.1").await;
    api.put("services", "meshlite", "edge", balancer(Some("192.0.2.2")));
    passes("the other address", || address(&api, "web") == "192.0.2.2").await;
    api.put("services", "meshlite", "edge", balancer(None));
    passes("no address", || address(&api, "web").is_null()).await;
    replica.stop().await;
}

//! What is observed is published like a change of an object.

use std::{net::IpAddr, time::Duration};

use meshlite_compile::{Change, Factors, Interner, ObjectKey, Slice};
use meshlite_kubernetes::Objects;
use meshlite_proto::decode;
use meshlite_snapshot::{Resource, ResourceType, Topic};
use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::*;
use crate::{
    findings::FindingBook,
    metrics::Metrics,
    publish::{Publisher, Views},
    watch::Sources,
};

/// The weights that are published of the only Service that has any, once they are there.
async fn weights(views: &mut Views) -> Vec<u16> {
    loop {
        let view = views.borrow_and_update().clone();
        let topic = Topic::all(ResourceType::Weights);
        let published = view.as_ref().and_then(|view| {
            let (_, entry) = view.entries(topic).next()?;
            decode::body(ResourceType::Weights, &entry.body.bytes()).ok()
        });
        if let Some(Resource::Weights(weights)) = published {
            let endpoints = weights.endpoints.iter();
            return endpoints.map(|endpoint| endpoint.weight).collect();
        }
        let changed = timeout(Duration::from_mins(1), views.changed()).await;
        changed.expect("it is published").unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_load_asks_for_is_published_and_taken_back_without_a_change_of_an_object() {
    let metrics = Arc::new(Metrics::default());
    let (publisher, mut views) = Publisher::new(Arc::clone(&metrics));
    let (book, _findings) = FindingBook::new(Arc::clone(&metrics));
    let output = Output::new(publisher, book, metrics, Sources::default());
    let (updates, received) = mpsc::channel(1);
    let feed = Feed {
        streams: Arc::new([]),
        updates: received,
        wanted: watch::Sender::default(),
    };
    let (observed, factors) = watch::channel(Arc::default());
    let stop = CancellationToken::new();
    let running = run(
        Settings::default(),
        output,
        feed,
        Observed(factors),
        async {},
        stop.clone(),
    );
    let running = tokio::spawn(running);

    let web = ObjectKey::new("default", "web");
    let service = json!({
        "metadata": {"annotations": {"meshlite.io/balance": "load"}},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]},
    });
    let slice = json!({
        "metadata": {"labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}],
    });
    let slice = serde_json::from_value(slice).unwrap();
    let slice = Slice::read(&slice, &mut Interner::default());
    let objects = Objects {
        stream: 0,
        changes: vec![
            Change::Service(
                web.clone(),
                Some(Arc::new(serde_json::from_value(service).unwrap())),
            ),
            Change::EndpointSlice(web.clone(), Some(Arc::new(slice))),
        ],
        watermark: None,
        triggered: None,
    };
    updates.send(Update::Objects(objects)).await.unwrap();
    assert_eq!(weights(&mut views).await, [0; 0]);
    let of = |n| IpAddr::from([10, 0, 0, n]);
    let wanted = Factors::from([(of(1), 667), (of(2), 2_000)]);
    observed.send_replace(Arc::new([(web, Arc::new(wanted))].into()));
    views.changed().await.unwrap();
    assert_eq!(weights(&mut views).await, [67, 200]);
    observed.send_replace(Arc::default());
    views.changed().await.unwrap();
    assert_eq!(weights(&mut views).await, [0; 0]);
    stop.cancel();
    running.await.unwrap().unwrap();
}

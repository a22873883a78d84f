//! How much one caller may have, and for how long.

use meshlite_proto::v1::discovery_response::Kind;

use super::*;
use crate::testing::{PATIENCE, eventually};

/// Streams of one identity.
const MOST: usize = 4;

#[tokio::test]
async fn one_identity_has_few_streams_at_a_time() {
    let issued = Issued::start().await;
    let node = issued.with(&issued.token("meshlite-node")).await;
    let another = || open(&node, v1::Role::L4Node, "node-a");
    let mut streams = Vec::new();
    for _ in 0..MOST {
        streams.push(another().await.unwrap());
    }
    let refused = another().await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("try again"), "{refused}");
    // Others are not concerned.
    let mut claims = mk_claims("meshlite-node", "node-b", clock::wall());
    claims["jti"] = "another".into();
    let other = issued.with(&issued.signer.sign(&claims)).await;
    subscribe(&other, v1::Role::L4Node, "node-b").await.unwrap();
    streams.pop();
    let is_ok = async || another().await.is_ok();
    eventually("there is room for another", is_ok, |is_ok| *is_ok).await;
    issued.server.stop.cancel();
}

#[tokio::test]
async fn a_stream_ends_by_drain_before_its_token_does() {
    let issued = Issued::start().await;
    let mut claims = mk_claims("meshlite-node", "node-a", clock::wall());
    let issued_at = claims["iat"].as_u64().unwrap();
    claims["exp"] = (issued_at + 5).into();
    let node = issued.with(&issued.signer.sign(&claims)).await;
    let mut stream = open(&node, v1::Role::L4Node, "node-a").await.unwrap();
    let drained = timeout(PATIENCE, async {
        loop {
            match stream.answers.message().await.unwrap().unwrap().kind {
                Some(Kind::Drain(drain)) => return drain,
                Some(_) => {}
                None => panic!("a message says nothing"),
            }
        }
    });
    let drain = drained.await.expect("it is drained in time");
    assert!(drain.reason.contains("credentials"), "{drain:?}");
    issued.server.stop.cancel();
}

#[tokio::test]
async fn a_question_that_is_too_large_is_not_read() {
    let issued = Issued::start().await;
    let reader = issued.with(&issued.token("meshlite-reader")).await;
    let mut client = SnapshotStatusClient::new(reader);
    let mut ask = async |length| {
        let request = v1::DumpResourcesRequest {
            topics: Vec::new(),
            name_prefix: "x".repeat(length),
        };
        client.dump_resources(request).await.map(drop)
    };
    ask(1024).await.unwrap();
    let refused = ask(64 * 1024).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    issued.server.stop.cancel();
}

#[tokio::test]
async fn who_only_makes_mistakes_is_slowed_down_and_who_is_known_is_not() {
    let issued = Issued::start().await;
    let reader = issued.with(&issued.token("meshlite-reader")).await;
    status(&reader).await.unwrap();
    let guessing = issued.with("a.guessed.token").await;
    let guess = async || {
        let mut guesses = JoinSet::new();
        for _ in 0..500 {
            let guessing = guessing.clone();
            guesses.spawn(async move { status(&guessing).await.unwrap_err().code() });
        }
        guesses.join_all().await
    };
    let is_slowed_down = |codes: &Vec<Code>| codes.contains(&Code::ResourceExhausted);
    eventually("guesses are refused unread", guess, is_slowed_down).await;
    status(&reader).await.unwrap();
    issued.server.stop.cancel();
}

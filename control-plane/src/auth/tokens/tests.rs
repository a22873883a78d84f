//! Tokens with an API server that changes its keys, revokes, and goes away.

use std::sync::atomic::Ordering;

use super::*;
use crate::auth::testing::{FakeApi, Signer, mk_claims, mk_token_config};

fn mk_token(signer: &Signer) -> String {
    signer.sign(&mk_claims("meshlite-node", "node-a", clock::wall()))
}

fn mk_tokens(api: &FakeApi) -> Tokens {
    Tokens::new(mk_token_config(), api.client.clone())
}

#[tokio::test]
async fn a_token_is_reviewed_once_in_a_minute_also_when_it_comes_ten_times_at_once() {
    let signer = Signer::new("one");
    let api = FakeApi::start(&signer).await;
    let tokens = mk_tokens(&api);
    let token = mk_token(&signer);
    let verify = || tokens.verify(&token);
    let all = tokio::join!(verify(), verify(), verify(), verify(), verify());
    for verified in [all.0, all.1, all.2, all.3, all.4] {
        assert_eq!(verified.unwrap().node.as_deref(), Some("node-a"));
    }
    assert!(tokens.known(&token).is_some());
    assert_eq!(api.state.reviews.load(Ordering::Relaxed), 1);
    assert_eq!(api.state.key_reads.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_revoked_token_is_refused_though_its_signature_is_good() {
    let signer = Signer::new("one");
    let api = FakeApi::start(&signer).await;
    api.state.revokes.store(true, Ordering::Relaxed);
    let tokens = mk_tokens(&api);
    let token = mk_token(&signer);
    assert_eq!(tokens.verify(&token).await, Err(Refusal::Revoked));
    assert!(tokens.known(&token).is_none());
}

#[tokio::test]
async fn with_the_api_server_gone_known_keys_are_enough_and_unknown_ones_are_refused() {
    let signer = Signer::new("one");
    let mut api = FakeApi::start(&signer).await;
    let tokens = mk_tokens(&api);
    tokens.refresh(REFRESH_FIRST).await;
    api.stop().await;
    // Of a node that was restarted meanwhile: never seen before.
    let caller = tokens.verify(&mk_token(&signer)).await.unwrap();
    assert_eq!(caller.node.as_deref(), Some("node-a"));
    let other = mk_token(&Signer::new("two"));
    let unknown = Refusal::UnknownKey("two".to_owned());
    assert_eq!(tokens.verify(&other).await, Err(unknown));
}

#[tokio::test]
async fn without_any_keys_one_is_told_to_try_again() {
    let signer = Signer::new("one");
    let mut api = FakeApi::start(&signer).await;
    let tokens = mk_tokens(&api);
    api.stop().await;
    let refused = tokens.verify(&mk_token(&signer)).await;
    assert_eq!(refused, Err(Refusal::NoKeys));
}

#[tokio::test]
async fn an_unknown_key_is_looked_up_but_not_for_everyone_who_asks() {
    let (old, new) = (Signer::new("one"), Signer::new("two"));
    let api = FakeApi::start(&old).await;
    let tokens = mk_tokens(&api);
    tokens.verify(&mk_token(&old)).await.unwrap();
    // Within ten seconds of the first reading nothing is read.
    let unknown = Err(Refusal::UnknownKey("two".to_owned()));
    for _ in 0..5 {
        assert_eq!(tokens.verify(&mk_token(&new)).await, unknown);
    }
    assert_eq!(api.state.key_reads.load(Ordering::Relaxed), 1);
    *api.state.jwks.lock().unwrap() = new.jwks();
    tokens.refresh.lock().await.tried = None;
    tokens.verify(&mk_token(&new)).await.unwrap();
    assert_eq!(api.state.key_reads.load(Ordering::Relaxed), 2);
    // The old key is withdrawn, also for tokens that were known.
    let gone = Err(Refusal::UnknownKey("one".to_owned()));
    assert_eq!(tokens.verify(&mk_token(&old)).await, gone);
}

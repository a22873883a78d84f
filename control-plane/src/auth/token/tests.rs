//! Tokens as an API server makes them, and as others would like to.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::*;
use crate::auth::testing::{ISSUER, Signer, mk_claims, mk_token_config};

const NOW: u64 = 1_800_000_000;

fn at_now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn mk_node_claims() -> Value {
    mk_claims("meshlite-node", "node-a", at_now())
}

fn mk_keys(signer: &Signer) -> Keys {
    Keys::read(ISSUER.to_owned(), &signer.jwks()).unwrap()
}

/// What becomes of these claims, well signed.
fn verify(claims: &Value) -> Result<Caller, Refusal> {
    let signer = Signer::new("one");
    let token = signer.sign(claims);
    mk_keys(&signer).verify(&token, &mk_token_config(), at_now())
}

#[test]
fn a_projected_token_gives_its_accounts_rights_on_its_node() {
    let caller = verify(&mk_node_claims()).unwrap();
    assert_eq!(
        &*caller.name,
        "system:serviceaccount:meshlite:meshlite-node"
    );
    assert_eq!(caller.node.as_deref(), Some("node-a"));
    assert_eq!(caller.expires, Some(at_now() + Duration::from_hours(1)));
    let rights = Rights {
        node: true,
        ..Rights::default()
    };
    assert_eq!(caller.rights, rights);
    let ingress = verify(&mk_claims("meshlite-ingress", "node-a", at_now())).unwrap();
    assert!(ingress.rights.ingress && !ingress.rights.node);
}

#[test]
fn a_readers_token_needs_no_node_but_a_nodes_token_does() {
    let mut reader = mk_claims("meshlite-reader", "", at_now());
    let mut node = mk_node_claims();
    for claims in [&mut reader, &mut node] {
        let bound = claims["kubernetes.io"].as_object_mut().unwrap();
        bound.remove("node");
        bound.remove("pod");
    }
    let caller = verify(&reader).unwrap();
    assert_eq!((caller.node, caller.rights.read), (None, true));
    let refusal = verify(&node).unwrap_err();
    assert_eq!(refusal.reason(), "node");
    assert_eq!(Status::from(&refusal).code(), Code::PermissionDenied);
}

#[test]
fn a_token_that_is_not_for_us_is_refused_with_the_reason() {
    let name = "system:serviceaccount:meshlite:meshlite-node";
    let long_ago = NOW - 3600;
    for (claim, value, reason, message) in [
        (
            "exp",
            json!(long_ago),
            "expired",
            "the token is expired since 2027-01-15T07:00:00Z",
        ),
        (
            "nbf",
            json!(NOW + 60),
            "bad_token",
            "it is not valid before 2027-01-15T08:01:00Z",
        ),
        (
            "aud",
            json!(["https://kubernetes.default.svc"]),
            "audience",
            "audience is \"https://kubernetes.default.svc\", it needs \"meshlite\"",
        ),
        (
            "aud",
            json!("other"),
            "audience",
            "audience is \"other\", it needs \"meshlite\"",
        ),
        (
            "iss",
            json!("https://other"),
            "bad_token",
            "its issuer is \"https://other\"",
        ),
        (
            "sub",
            json!("system:admin"),
            "bad_token",
            "its subject is not its service account",
        ),
        (
            "kubernetes.io",
            json!(null),
            "bad_token",
            "not bound to a service account",
        ),
        ("exp", json!(u64::MAX), "bad_token", "out of range"),
        ("exp", json!(-1), "bad_token", "claims"),
    ] {
        let mut claims = mk_node_claims();
        claims[claim] = value;
        let refusal = verify(&claims).unwrap_err();
        assert_eq!(refusal.reason(), reason, "{claim}: {refusal}");
        let status = Status::from(&refusal);
        assert_eq!(status.code(), Code::Unauthenticated, "{refusal}");
        assert!(status.message().contains(message), "{refusal}");
        assert!(!status.message().contains(name), "{refusal}");
    }
}

#[test]
fn an_account_of_nobody_is_denied_by_name() {
    let refusal = verify(&mk_claims("default", "node-a", at_now())).unwrap_err();
    assert_eq!(refusal.reason(), "role");
    let status = Status::from(&refusal);
    assert_eq!(status.code(), Code::PermissionDenied);
    let name = "system:serviceaccount:meshlite:default may do nothing here";
    assert!(status.message().contains(name), "{refusal}");
}

#[test]
fn clocks_may_differ_by_half_a_minute() {
    for (seconds, is_good) in [(-3600, true), (-25, true), (3625, true), (3635, false)] {
        let signer = Signer::new("one");
        let token = signer.sign(&mk_node_claims());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.saturating_add_signed(seconds));
        let verified = mk_keys(&signer).verify(&token, &mk_token_config(), now);
        let expected = if seconds == -3600 { false } else { is_good };
        assert_eq!(verified.is_ok(), expected, "at {seconds} s: {verified:?}");
    }
}

#[test]
fn only_the_api_servers_keys_count() {
    let (ours, other) = (Signer::new("one"), Signer::new("one"));
    let keys = mk_keys(&ours);
    let config = mk_token_config();
    let verify = |token: &str| keys.verify(token, &config, at_now()).unwrap_err();
    assert_eq!(verify(&other.sign(&mk_node_claims())), Refusal::Signature);
    let unknown = Signer::new("two").sign(&mk_node_claims());
    assert_eq!(verify(&unknown), Refusal::UnknownKey("two".to_owned()));
    // A symmetric signature with the public key as the secret, and none at all.
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("one".to_owned());
    let secret = EncodingKey::from_secret(ours.jwks().as_bytes());
    let symmetric = encode(&header, &mk_node_claims(), &secret).unwrap();
    assert_eq!(verify(&symmetric).reason(), "bad_token");
    // {"alg":"none","kid":"one"}
    let payload = symmetric.split('.').nth(1).unwrap();
    let none = format!("eyJhbGciOiJub25lIiwia2lkIjoib25lIn0.{payload}.");
    assert_eq!(verify(&none).reason(), "bad_token");
}

#[test]
fn symmetric_keys_and_an_empty_set_are_no_keys() {
    let octets = json!({"keys": [{"kty": "oct", "alg": "HS256", "kid": "one", "k": "c2VjcmV0"}]});
    for jwks in ["", "{}", r#"{"keys": []}"#, &octets.to_string()] {
        assert!(
            Keys::read(ISSUER.to_owned(), jwks).is_err(),
            "{jwks} is taken"
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_text_and_no_cut_token_is_taken(text in ".{0,300}", cut in 0_usize..400) {
        let signer = Signer::new("one");
        let keys = mk_keys(&signer);
        let config = mk_token_config();
        proptest::prop_assert!(keys.verify(&text, &config, at_now()).is_err());
        let token = signer.sign(&mk_node_claims());
        let cut: String = token.chars().take(cut).collect();
        proptest::prop_assert!(keys.verify(&cut, &config, at_now()).is_err());
    }

    #[test]
    fn a_refusal_never_holds_the_token(claim in "aud|iss|sub", value in "[a-z]{0,2000}") {
        let mut claims = mk_node_claims();
        claims[&claim] = value.into();
        let signer = Signer::new("one");
        let token = signer.sign(&claims);
        let keys = mk_keys(&signer);
        if let Err(refusal) = keys.verify(&token, &mk_token_config(), at_now()) {
            let shown = format!("{refusal} {:?}", Status::from(&refusal));
            let (_, signature) = token.rsplit_once('.').unwrap();
            proptest::prop_assert!(!shown.contains(signature));
            proptest::prop_assert!(shown.len() < 1200, "{} bytes", shown.len());
        }
    }
}

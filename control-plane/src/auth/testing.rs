//! An API server's signing key, and the tokens that it makes.

mod api;

use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use meshlite_compile::ObjectKey;
use rcgen::KeyPair;
use serde_json::{Value, json};

pub(crate) use self::api::FakeApi;

use crate::TokenConfig;

pub(crate) const ISSUER: &str = "https://kubernetes.default.svc";

/// A signing key.
pub(crate) struct Signer {
    pub(crate) id: &'static str,
    key: EncodingKey,
}

impl Signer {
    pub(crate) fn new(id: &'static str) -> Self {
        let pair = KeyPair::generate().unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        Self { id, key }
    }

    /// The public key, as the API server publishes it.
    pub(crate) fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, Algorithm::ES256).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk["kid"] = self.id.into();
        jwk["use"] = "sig".into();
        jwk
    }

    pub(crate) fn jwks(&self) -> String {
        json!({"keys": [self.jwk()]}).to_string()
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.to_owned());
        encode(&header, claims, &self.key).unwrap()
    }
}

/// The claims of a Pod's projected token, good for an hour from `now`.
pub(crate) fn mk_claims(account: &str, node: &str, now: SystemTime) -> Value {
    let seconds = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        since.as_secs()
    };
    json!({
        "aud": ["meshlite"],
        "exp": seconds(now + Duration::from_hours(1)),
        "iat": seconds(now),
        "nbf": seconds(now),
        "iss": ISSUER,
        "jti": "2d3a6a9e-6c1f-4f52-9f6a-0a4f8b3b2c1d",
        "kubernetes.io": {
            "namespace": "meshlite",
            "node": {"name": node, "uid": "1f1e"},
            "pod": {"name": "meshlite-node-x", "uid": "2f2e"},
            "serviceaccount": {"name": account, "uid": "3f3e"},
        },
        "sub": format!("system:serviceaccount:meshlite:{account}"),
    })
}

pub(crate) fn mk_token_config() -> TokenConfig {
    let account = |name| vec![ObjectKey::new("meshlite", name)];
    TokenConfig {
        audience: "meshlite".to_owned(),
        node: account("meshlite-node"),
        ingress: account("meshlite-ingress"),
        reader: account("meshlite-reader"),
        replica: account("meshlite-control-plane"),
    }
}

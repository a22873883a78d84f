//! Certificates and tokens: a CA, the server's certificate, and bound service-account tokens as an API server signs them.

use std::{fs, path::Path, time::UNIX_EPOCH};

use anyhow::Context as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData as _,
};
use serde_json::{Value, json};

use crate::{wall_clock, world::node_name};

/// Who signs tokens.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Whom tokens are for.
pub(crate) const AUDIENCE: &str = "meshlite";
const SERVER_NAME: &str = "meshlite-control-plane";
const KEY_ID: &str = "bench";

/// What signs tokens.
pub(crate) struct TokenKey {
    key: EncodingKey,
    jwks: Value,
}

/// Writes `ca.crt`, `tls.crt` and `tls.key` into a folder.
pub(crate) fn write_certificates(folder: &Path) -> anyhow::Result<()> {
    let mut ca = CertificateParams::default();
    ca.distinguished_name
        .push(DnType::CommonName, "meshlite bench CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![SERVER_NAME.to_owned(), "127.0.0.1".to_owned()])?
        .signed_by(&key, &ca)?;
    fs::write(folder.join("ca.crt"), ca.pem())?;
    fs::write(folder.join("tls.crt"), certificate.pem())?;
    fs::write(folder.join("tls.key"), key.serialize_pem())?;
    Ok(())
}

// === impl TokenKey ===

impl TokenKey {
    pub(crate) fn generate() -> anyhow::Result<Self> {
        let pair = KeyPair::generate()?;
        // An uncompressed point: 4, x, y.
        let point = pair.der_bytes().to_vec();
        let (x, y) = point
            .get(1..)
            .and_then(|xy| xy.split_at_checked(32))
            .context("not a P-256 key")?;
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID, "x": base64url(x), "y": base64url(y),
        });
        Ok(Self {
            key: EncodingKey::from_ec_der(&pair.serialize_der()),
            jwks: json!({"keys": [jwk]}),
        })
    }

    /// The public half, as an API server publishes it.
    pub(crate) fn jwks(&self) -> Value {
        self.jwks.clone()
    }

    /// The token of the data plane on a node.
    pub(crate) fn token(&self, number: u32) -> anyhow::Result<String> {
        let now = wall_clock().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = json!({
            "iss": ISSUER, "aud": [AUDIENCE], "sub": "system:serviceaccount:meshlite:meshlite-node",
            "iat": now, "nbf": now, "exp": now + 3600, "jti": format!("token-{number}"),
            "kubernetes.io": {
                "namespace": "meshlite",
                "serviceaccount": {"name": "meshlite-node", "uid": "meshlite-node"},
                "pod": {"name": format!("meshlite-node-{number:05}"), "uid": format!("pod-{number}")},
                "node": {"name": node_name(number), "uid": format!("node-{number}")},
            },
        });
        let header = Header {
            kid: Some(KEY_ID.to_owned()),
            ..Header::new(Algorithm::ES256)
        };
        Ok(encode(&header, &claims, &self.key)?)
    }
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(char::from(DIGITS[index as usize]));
        }
    }
    text
}

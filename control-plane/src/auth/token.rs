//! What a service account's token says, checked against the API server's keys. Pure: no clock, no network.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm},
};
use meshlite_compile::ObjectKey;
use serde::Deserialize;

use super::{Caller, Rights, refusal::Refusal};
use crate::TokenConfig;

/// The longest token that is looked at, in bytes. Those of service accounts have about 1,200.
const LONGEST: usize = 8 * 1024;
/// The most keys of an API server. It has one, two while it changes them.
const MOST_KEYS: usize = 64;
/// By how much the clocks of two machines may differ.
const LEEWAY: Duration = Duration::from_secs(30);

/// The keys that sign this cluster's tokens, by their id, and who says so.
pub(crate) struct Keys {
    issuer: String,
    keys: BTreeMap<String, (Algorithm, DecodingKey)>,
}

/// Why an API server's answer cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the API server's key set cannot be used: {0}")]
pub(crate) struct BadKeys(String);

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: u64,
    nbf: Option<u64>,
    #[serde(rename = "kubernetes.io")]
    bound: Option<Bound>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct Bound {
    namespace: String,
    serviceaccount: Named,
    node: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Keys {
    /// Reads a JWK set. Keys of kinds that sign no tokens (or symmetric ones) are left out.
    pub(crate) fn read(issuer: String, jwks: &str) -> Result<Self, BadKeys> {
        let set: KeySet = serde_json::from_str(jwks).map_err(|error| BadKeys(error.to_string()))?;
        let usable = |jwk: Jwk| {
            let algorithm = algorithm(&jwk)?;
            let key = DecodingKey::from_jwk(&jwk).ok()?;
            Some((jwk.common.key_id.unwrap_or_default(), (algorithm, key)))
        };
        let jwks = set.keys.into_iter().take(MOST_KEYS);
        let keys: BTreeMap<_, _> = jwks
            .filter_map(|jwk| serde_json::from_value(jwk).ok())
            .filter_map(usable)
            .collect();
        if keys.is_empty() {
            return Err(BadKeys("it holds no RSA, ECDSA or Ed25519 key".to_owned()));
        }
        Ok(Self { issuer, keys })
    }

    /// What the keys are called.
    pub(crate) fn ids(&self) -> Vec<&str> {
        self.keys.keys().map(String::as_str).collect()
    }

    /// Whom this token is of, and what it gives at `now`.
    pub(crate) fn verify(
        &self,
        token: &str,
        config: &TokenConfig,
        now: SystemTime,
    ) -> Result<Caller, Refusal> {
        let claims = self.signed(token)?;
        if claims.iss != self.issuer {
            return Err(Refusal::Issuer {
                is: claims.iss,
                wanted: self.issuer.clone(),
            });
        }
        in_time(&claims, now)?;
        claims.aud.must_have(&config.audience)?;
        claims.caller(config)
    }

    fn signed(&self, token: &str) -> Result<Claims, Refusal> {
        if token.len() > LONGEST {
            return Err(Refusal::Malformed("it is longer than 8 KiB"));
        }
        let no_jwt = |_error| Refusal::Malformed("it is no JSON Web Token with a known algorithm");
        let header = decode_header(token).map_err(no_jwt)?;
        let id = header.kid.unwrap_or_default();
        let Some((algorithm, key)) = self.keys.get(&id) else {
            return Err(Refusal::UnknownKey(id));
        };
        // Times, issuer and audience are checked by us: by the clock that we are given, and with clear answers.
        let mut validation = Validation::new(*algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let decoded = decode::<Claims>(token, key, &validation);
        decoded.map(|data| data.claims).map_err(|error| {
            use jsonwebtoken::errors::ErrorKind;
            match error.kind() {
                ErrorKind::InvalidSignature => Refusal::Signature,
                ErrorKind::InvalidAlgorithm => {
                    Refusal::Malformed("its algorithm is not that of its key")
                }
                _ => Refusal::Malformed("its claims are not those of a service account"),
            }
        })
    }
}

/// The algorithm of a key, from its kind and never from a token.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    use AlgorithmParameters::{EllipticCurve as Ec, OctetKeyPair, RSA};
    let named = jwk.common.key_algorithm;
    match (&jwk.algorithm, named) {
        (RSA(_), None | Some(KeyAlgorithm::RS256)) => Some(Algorithm::RS256),
        (RSA(_), Some(KeyAlgorithm::RS384)) => Some(Algorithm::RS384),
        (RSA(_), Some(KeyAlgorithm::RS512)) => Some(Algorithm::RS512),
        (RSA(_), Some(KeyAlgorithm::PS256)) => Some(Algorithm::PS256),
        (Ec(key), None | Some(KeyAlgorithm::ES256)) if key.curve == EllipticCurve::P256 => {
            Some(Algorithm::ES256)
        }
        (Ec(key), None | Some(KeyAlgorithm::ES384)) if key.curve == EllipticCurve::P384 => {
            Some(Algorithm::ES384)
        }
        (OctetKeyPair(_), None | Some(KeyAlgorithm::EdDSA)) => Some(Algorithm::EdDSA),
        _ => None,
    }
}

fn in_time(claims: &Claims, now: SystemTime) -> Result<(), Refusal> {
    let end = at(claims.exp)?;
    if now > end + LEEWAY {
        return Err(Refusal::Expired {
            what: "token",
            since: end,
        });
    }
    let begin = at(claims.nbf.unwrap_or_default())?;
    if now + LEEWAY < begin {
        return Err(Refusal::NotYet(begin));
    }
    Ok(())
}

/// A claim's time. Those after the year 9999 are nobody's.
fn at(seconds: u64) -> Result<SystemTime, Refusal> {
    const YEAR_9999: u64 = 253_402_300_799;
    if seconds > YEAR_9999 {
        return Err(Refusal::Malformed("a time in it is out of range"));
    }
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

impl Audience {
    fn must_have(&self, wanted: &str) -> Result<(), Refusal> {
        let all = match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        };
        if all.iter().any(|audience| audience == wanted) {
            return Ok(());
        }
        Err(Refusal::Audience {
            is: all.join(", "),
            wanted: wanted.to_owned(),
        })
    }
}

impl Claims {
    fn caller(self, config: &TokenConfig) -> Result<Caller, Refusal> {
        let Some(bound) = self.bound else {
            return Err(Refusal::Malformed("it is not bound to a service account"));
        };
        let account = ObjectKey {
            namespace: bound.namespace,
            name: bound.serviceaccount.name,
        };
        let name = format!(
            "system:serviceaccount:{}:{}",
            account.namespace, account.name
        );
        if name != self.sub {
            return Err(Refusal::Malformed("its subject is not its service account"));
        }
        let rights = Rights {
            node: config.node.contains(&account),
            ingress: config.ingress.contains(&account),
            read: config.reader.contains(&account),
            replica: config.replica.contains(&account),
        };
        if rights == Rights::default() {
            return Err(Refusal::NoRights(name));
        }
        // One that is bound to no node could act as any.
        if rights.node && bound.node.is_none() {
            return Err(Refusal::Unbound(name));
        }
        Ok(Caller {
            name: name.into(),
            rights,
            node: bound.node.map(|node| node.name.into()),
            expires: Some(at(self.exp)?),
        })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.keys().collect();
        f.debug_struct("Keys")
            .field("issuer", &self.issuer)
            .field("ids", &ids)
            .finish()
    }
}

#[cfg(test)]
mod tests;

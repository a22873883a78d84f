//! What a Secret of whatever type holds for an ingress, as far as it can be checked without cryptography.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use k8s_openapi::api::core::v1 as k8s;
use meshlite_snapshot::{Htpasswd, PrivateKey, UpstreamIdentity};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{Error as PemError, PemObject},
};

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "ca.crt";
const PASSWORDS: &str = "auth";

/// What a Secret holds, part by part, or why it does not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Contents {
    pub(crate) material: Result<Material, String>,
    /// DER.
    pub(crate) authorities: Result<Vec<Bytes>, String>,
    pub(crate) passwords: Result<Htpasswd, String>,
    /// Every key and its value as a line. Not of a Secret with a private key, which is none of that kind.
    pub(crate) users: Result<Htpasswd, String>,
}

/// A chain and its key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Material {
    /// DER, leaf first.
    pub(crate) certificate_chain: Vec<Bytes>,
    /// DER.
    pub(crate) private_key: PrivateKey,
}

impl Contents {
    /// The certificate as one that is shown to servers.
    pub(crate) fn identity(&self) -> Option<UpstreamIdentity> {
        let material = self.material.as_ref().ok()?;
        Some(UpstreamIdentity {
            certificate_chain: material.certificate_chain.clone(),
            private_key: material.private_key.clone(),
        })
    }
}

/// Reads a Secret.
pub(crate) fn contents(secret: &k8s::Secret) -> Contents {
    let authorities = entry(secret, AUTHORITIES).and_then(|pem| certificates(AUTHORITIES, pem));
    Contents {
        material: material(secret),
        authorities,
        passwords: passwords(secret),
        users: users(secret),
    }
}

fn passwords(secret: &k8s::Secret) -> Result<Htpasswd, String> {
    let lines = entry(secret, PASSWORDS)?;
    let is_user = |line: &[u8]| {
        line.iter()
            .position(|b| *b == b':')
            .is_some_and(|at| at > 0)
    };
    if !lines.split(|b| *b == b'\n').any(is_user) {
        return Err(format!("{PASSWORDS} holds no line user:hash"));
    }
    Ok(Htpasswd(Bytes::copy_from_slice(lines)))
}

fn users(secret: &k8s::Secret) -> Result<Htpasswd, String> {
    let mut names: BTreeSet<&String> = BTreeSet::new();
    names.extend(secret.data.iter().flat_map(BTreeMap::keys));
    names.extend(secret.string_data.iter().flat_map(BTreeMap::keys));
    if names.iter().any(|name| *name == KEY) {
        return Err(format!("it has {KEY}, so that it holds no users"));
    }
    let mut lines = Vec::new();
    for name in names {
        let hash = entry(secret, name)?.trim_ascii();
        if name.contains(':') || hash.contains(&b'\n') {
            return Err("a user has a colon or a hash has several lines".to_owned());
        }
        lines.extend_from_slice(name.as_bytes());
        lines.push(b':');
        lines.extend_from_slice(hash);
        lines.push(b'\n');
    }
    if lines.is_empty() {
        return Err("it has no users".to_owned());
    }
    Ok(Htpasswd(lines.into()))
}

fn material(secret: &k8s::Secret) -> Result<Material, String> {
    let certificate_chain = certificates(CERTIFICATE, entry(secret, CERTIFICATE)?)?;
    let private_key = private_key(entry(secret, KEY)?)?;
    Ok(Material {
        certificate_chain,
        private_key: PrivateKey(private_key),
    })
}

fn entry<'a>(secret: &'a k8s::Secret, name: &str) -> Result<&'a [u8], String> {
    let written = secret.string_data.as_ref().and_then(|data| data.get(name));
    let encoded = secret.data.as_ref().and_then(|data| data.get(name));
    written
        .map(String::as_bytes)
        .or(encoded.map(|bytes| bytes.0.as_slice()))
        .filter(|bytes| !bytes.is_empty())
        .ok_or_else(|| format!("it has no {name}"))
}

fn certificates(entry: &str, pem: &[u8]) -> Result<Vec<Bytes>, String> {
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| undecodable(entry, &error))?;
        if !is_der_sequence(&certificate) {
            return Err(format!("{entry} holds a CERTIFICATE that is not DER"));
        }
        chain.push(Bytes::copy_from_slice(&certificate));
    }
    if chain.is_empty() {
        return Err(format!("{entry} holds no PEM block CERTIFICATE"));
    }
    Ok(chain)
}

fn private_key(pem: &[u8]) -> Result<Bytes, String> {
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) if is_der_sequence(key.secret_der()) => {
            Ok(Bytes::copy_from_slice(key.secret_der()))
        }
        Ok(_) => Err(format!("{KEY} holds a key that is not DER")),
        Err(PemError::NoItemsFound) => Err(format!(
            "{KEY} holds no PEM block PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY"
        )),
        Err(error) => Err(undecodable(KEY, &error)),
    }
}

/// Says why PEM does not decode. The decoder's own words may quote the input, which may be a key.
fn undecodable(entry: &str, error: &PemError) -> String {
    let why = match error {
        PemError::MissingSectionEnd { .. } => "a block has no END line",
        PemError::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        PemError::Base64Decode(_) => "a block is not base64",
        _ => "it is malformed",
    };
    format!("{entry} is not PEM: {why}")
}

/// Whether this is one DER SEQUENCE and nothing else, as certificates and keys are.
fn is_der_sequence(der: &[u8]) -> bool {
    let [0x30, first, rest @ ..] = der else {
        return false;
    };
    let (length, content) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let Some((bytes, content)) = rest.split_at_checked(usize::from(first - 0x80)) else {
                return false;
            };
            let length = bytes
                .iter()
                .fold(0usize, |length, byte| (length << 8) | usize::from(*byte));
            (length, content)
        }
        _ => return false,
    };
    length > 0 && length == content.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_ends_where_it_says() {
        assert!(is_der_sequence(&[0x30, 2, 5, 0]));
        assert!(is_der_sequence(&[0x30, 0x81, 2, 5, 0]));
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 0],
            &[0x30, 3, 5, 0],
            &[0x30, 1, 5, 0],
            &[0x31, 2, 5, 0],
            &[0x30, 0x80, 5, 0],
            &[0x30, 0x82, 1],
        ] {
            assert!(!is_der_sequence(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_complaint_about_a_key_does_not_quote_it() {
        let secret = |key: &str| {
            let pem = "-----BEGIN CERTIFICATE-----\nMAIFAA==\n-----END CERTIFICATE-----\n";
            k8s::Secret {
                string_data: Some(
                    [(CERTIFICATE.into(), pem.into()), (KEY.into(), key.into())].into(),
                ),
                ..k8s::Secret::default()
            }
        };
        for key in [
            "hunter2",
            "-----BEGIN hunter2\n",
            "-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----\n",
            "-----BEGIN PRIVATE KEY-----\nhunter2\n",
            "-----BEGIN PRIVATE KEY-----\nMDIFAA==\n-----END PRIVATE KEY-----\n",
        ] {
            let problem = material(&secret(key)).unwrap_err();
            assert!(problem.starts_with(KEY), "{problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
        let good = "-----BEGIN PRIVATE KEY-----\nMAIFAA==\n-----END PRIVATE KEY-----\n";
        assert!(material(&secret(good)).is_ok());
    }
}

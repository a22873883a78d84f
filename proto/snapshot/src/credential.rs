//! What an ingress needs of a Secret besides its own certificates: passwords, certificate authorities, client keys.

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::PrivateKey;

/// The parts of a Secret that a route or a cluster refers to. Named `namespace/secret`, or `namespace/secret/users` where
/// its keys are users and its values their hashed passwords.
///
/// Where something refers to a credential that is not there, or that lacks the part that is meant, it is closed: a route
/// answers 503, a TLS connection is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Credential {
    /// Who may log in.
    pub htpasswd: Option<Htpasswd>,
    /// Certificate authorities as DER.
    #[serde(serialize_with = "count")]
    pub authorities: Vec<Bytes>,
    /// A certificate to show to servers.
    pub identity: Option<UpstreamIdentity>,
}

/// Lines `user:hash`, as Apache's htpasswd writes them. Empty where it was redacted. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Htpasswd(pub Bytes);

/// A certificate to show to servers, with its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpstreamIdentity {
    /// The certificates as DER, leaf first.
    #[serde(serialize_with = "count")]
    pub certificate_chain: Vec<Bytes>,
    /// The leaf's private key.
    pub private_key: PrivateKey,
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl Serialize for Htpasswd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("<redacted>")
    }
}

fn count<S: Serializer>(certificates: &[Bytes], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("<{} certificates>", certificates.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_passwords_nor_keys_are_printed() {
        let credential = Credential {
            htpasswd: Some(Htpasswd(Bytes::from_static(b"hunter2"))),
            authorities: vec![],
            identity: Some(UpstreamIdentity {
                certificate_chain: vec![],
                private_key: PrivateKey(Bytes::from_static(b"hunter2")),
            }),
        };
        let shown = format!("{credential:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(shown.matches("<redacted>").count(), 2, "{shown}");
    }
}

//! A TLS certificate with its key and the hosts that it serves.

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::{HostMatch, Name};

/// A certificate chain and its key. Named `namespace/secret`.
///
/// Which hosts it serves is decided by the compiler (the oldest Ingress wins) and travels with it, so that a new
/// certificate for one host touches nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TlsSecret {
    /// The certificates as DER, leaf first.
    #[serde(serialize_with = "count")]
    pub certificate_chain: Vec<Bytes>,
    /// The leaf's private key.
    pub private_key: PrivateKey,
    /// Where it is served.
    pub bindings: Vec<SniBinding>,
}

/// A server name on a listener for which a certificate is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SniBinding {
    /// The listener.
    pub listener: Name,
    /// The server names (SNI).
    pub host: HostMatch,
}

/// A private key as PKCS#8, PKCS#1 or SEC1 DER. Empty where it was redacted. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(pub Bytes);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl Serialize for PrivateKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("<redacted>")
    }
}

fn count<S: Serializer>(chain: &[Bytes], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("<{} certificates>", chain.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_is_never_printed() {
        let secret = TlsSecret {
            certificate_chain: vec![Bytes::from_static(b"cert")],
            private_key: PrivateKey(Bytes::from_static(b"hunter2")),
            bindings: vec![],
        };
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert!(format!("{secret:?}").contains("<redacted>"));
    }
}

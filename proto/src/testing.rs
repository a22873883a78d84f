//! Certificate authorities of tests.

use std::ops::Range;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tonic::transport::{Identity, ServerTlsConfig};

/// Years in which a certificate is valid now.
pub(crate) const NOW: Range<i32> = 2000..2500;

/// A certificate authority.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// What a client is to trust.
    pub(crate) pem: String,
}

// === impl Authority ===

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = ca.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(ca, key);
        Self { issuer, pem }
    }

    /// A server that has a certificate for this name, valid for these years.
    pub(crate) fn server(&self, name: &str, years: Range<i32>) -> ServerTlsConfig {
        let mut leaf = CertificateParams::new([name.to_owned()]).unwrap();
        leaf.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        let key = KeyPair::generate().unwrap();
        let leaf = leaf.signed_by(&key, &self.issuer).unwrap();
        let identity = Identity::from_pem(leaf.pem(), key.serialize_pem());
        ServerTlsConfig::new().identity(identity)
    }
}

//! The demo's own certificate authority, and TLS Secrets that it signs.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::CertificateDer;

/// Signs certificates for the demo's hosts. Its key lives in memory only.
#[derive(Debug)]
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new authority with a new key.
    pub(crate) fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "Meshlite demo CA");
        Ok(Self(CertifiedIssuer::self_signed(
            params,
            KeyPair::generate()?,
        )?))
    }

    /// The authority's certificate, for `curl --cacert`.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// The authority's certificate, for a client's trust store.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A manifest of a TLS Secret with a new key and certificate for a host, and the certificate.
    pub(crate) fn secret(
        &self,
        namespace: &str,
        name: &str,
        host: &str,
    ) -> anyhow::Result<(String, CertificateDer<'static>)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([host.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, host);
        let certificate = params.signed_by(&key, &self.0)?;
        let data = [
            ("tls.crt", certificate.pem()),
            ("tls.key", key.serialize_pem()),
        ];
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            string_data: Some(BTreeMap::from(
                data.map(|(file, pem)| (file.to_owned(), pem)),
            )),
            ..Secret::default()
        };
        Ok((yaml_serde::to_string(&secret)?, certificate.der().clone()))
    }
}

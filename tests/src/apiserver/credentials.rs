//! Certificates, keys and kubeconfigs of one API server, as files in its folder.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, SanType,
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

use super::Error;

/// Everything that proves who somebody is to this API server.
#[derive(Debug)]
pub(super) struct Credentials {
    folder: PathBuf,
    pub(super) ca_pem: String,
    /// Signs service-account tokens: RSA, as kubeadm makes it, so that tokens are RS256 as in most clusters.
    pub(super) token_key: KeyPair,
    /// How the harness itself talks to the API server: as the administrator.
    pub(super) client: Arc<ClientConfig>,
}

impl Credentials {
    /// Makes all of them, and writes the files that the servers are told of.
    pub(super) fn new(folder: &Path) -> Result<Self, Error> {
        let authority = authority()?;
        let ca_pem = authority.pem();
        let token_key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let write =
            |name: &str, text: &str| fs::write(folder.join(name), text).map_err(Error::Folder);
        write("ca.crt", &ca_pem)?;
        write("tokens.key", &token_key.serialize_pem())?;
        write("tokens.pub", &token_key.public_key_pem())?;

        let issue = |name: &str, params: CertificateParams| {
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &authority)?;
            write(&format!("{name}.crt"), &certificate.pem())?;
            write(&format!("{name}.key"), &key.serialize_pem())?;
            Ok::<_, Error>((
                certificate,
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            ))
        };
        issue("serving", serving()?)?;
        issue(
            "controllers",
            user("kube-controller-manager", "system:masters")?,
        )?;
        let (certificate, key) = issue("admin", user("admin", "system:masters")?)?;
        Ok(Self {
            folder: folder.to_owned(),
            ca_pem,
            token_key,
            client: tls(authority.der(), certificate.der(), key)?,
        })
    }

    /// The path of one of the files.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a kubeconfig for a client certificate of ours.
    pub(super) fn kubeconfig_for_certificate(
        &self,
        name: &str,
        url: &str,
    ) -> Result<PathBuf, Error> {
        let user = json!({
            "client-certificate": self.file(&format!("{name}.crt")),
            "client-key": self.file(&format!("{name}.key")),
        });
        self.kubeconfig(name, url, &user)
    }

    /// Writes a kubeconfig. JSON is YAML too.
    pub(super) fn kubeconfig(
        &self,
        name: &str,
        url: &str,
        user: &serde_json::Value,
    ) -> Result<PathBuf, Error> {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": self.file("ca.crt")}}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": "test", "user": name}}],
            "current-context": name,
        });
        let path = self.file(&format!("{name}.kubeconfig"));
        fs::write(&path, format!("{config:#}\n")).map_err(Error::Folder)?;
        Ok(path)
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "test cluster CA");
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// The API server's own certificate.
fn serving() -> Result<CertificateParams, rcgen::Error> {
    let names = ["localhost".to_owned(), "kubernetes.default.svc".to_owned()];
    let mut params = CertificateParams::new(names)?;
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    params.subject_alt_names.push(SanType::IpAddress(loopback));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// A client certificate: Kubernetes reads the user from the common name and the groups from the organizations.
fn user(name: &str, group: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new([])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params
        .distinguished_name
        .push(DnType::OrganizationName, group);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn tls(
    ca: &CertificateDer<'static>,
    certificate: &CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone())?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate.clone()], key)?;
    Ok(Arc::new(config))
}

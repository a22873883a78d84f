//! Makes keys and certificates: a CA of our own, and what it signs for this replica.

use std::{
    fmt,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::parse_x509_certificate;

use super::{
    plan::{CA_LIFE, Lifetime, SERVING_LIFE},
    server::Material,
};

/// By how much a client's clock may be behind ours when a certificate is made.
const SKEW: Duration = Duration::from_mins(5);

/// A CA's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) der: CertificateDer<'static>,
    pub(super) lifetime: Lifetime,
    name: String,
    public_key: Vec<u8>,
}

/// A private key, in PEM. It is never shown.
#[derive(Clone)]
pub(super) struct Key {
    pem: String,
    public: Vec<u8>,
}

/// What this replica shows.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) material: Material,
    pub(super) names: Vec<SanType>,
    pub(super) lifetime: Lifetime,
    pub(super) signer: CertificateDer<'static>,
}

/// Why something could not be made or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthorityError {
    /// A key could not be made or used.
    #[error("a certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
    /// What is stored is no certificate of a CA.
    #[error("the CA's certificate cannot be read: {0}")]
    Read(&'static str),
}

impl Key {
    fn new() -> Result<(Self, KeyPair), AuthorityError> {
        let pair = KeyPair::generate()?;
        let key = Self {
            pem: pair.serialize_pem(),
            public: pair.public_key_raw().to_vec(),
        };
        Ok((key, pair))
    }

    /// A key that was stored.
    pub(super) fn read(pem: &str) -> Result<Self, AuthorityError> {
        let pair = KeyPair::from_pem(pem)?;
        Ok(Self {
            pem: pem.to_owned(),
            public: pair.public_key_raw().to_vec(),
        })
    }

    /// To store it. Whoever has this can be any server to our clients.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// Whether it is the key of this CA.
    pub(super) fn is_of(&self, authority: &Authority) -> bool {
        self.public == authority.public_key
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Authority {
    /// A new CA, from now on.
    pub(super) fn new(now: SystemTime) -> Result<(Self, Key), AuthorityError> {
        let (key, pair) = Key::new()?;
        // Each has its own name, so that a client finds the right one of several.
        let mut params = named(&format!("meshlite-ca-{:016x}", fastrand::u64(..)));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = (now - SKEW).into();
        params.not_after = (now + CA_LIFE).into();
        let certificate = params.self_signed(&pair)?;
        Ok((Self::read(certificate.into())?, key))
    }

    /// A CA that was stored.
    pub(super) fn read(der: CertificateDer<'static>) -> Result<Self, AuthorityError> {
        let bytes = der.clone();
        let (_, parsed) = parse_x509_certificate(&bytes)
            .map_err(|_broken| AuthorityError::Read("it is no X.509 certificate"))?;
        if !parsed.is_ca() {
            return Err(AuthorityError::Read("it is not that of a CA"));
        }
        let time = |seconds: i64| {
            let seconds = u64::try_from(seconds).unwrap_or_default();
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
        };
        let validity = parsed.validity();
        let lifetime = Lifetime {
            // The beginning that was meant, before the allowance for clocks.
            from: time(validity.not_before.timestamp()) + SKEW,
            until: time(validity.not_after.timestamp()),
        };
        let mut names = parsed.subject().iter_common_name();
        let name = names.next().and_then(|name| name.as_str().ok());
        let name = name
            .ok_or(AuthorityError::Read("it has no common name"))?
            .to_owned();
        let public_key = parsed.public_key().subject_public_key.data.to_vec();
        Ok(Self {
            der,
            lifetime,
            name,
            public_key,
        })
    }

    /// A certificate for a server of these names.
    pub(super) fn sign(
        &self,
        key: &Key,
        names: Vec<SanType>,
        now: SystemTime,
    ) -> Result<Serving, AuthorityError> {
        let issuer = Issuer::new(named(&self.name), KeyPair::from_pem(&key.pem)?);
        let (_, pair) = Key::new()?;
        let lifetime = Lifetime {
            from: now,
            until: (now + SERVING_LIFE).min(self.lifetime.until),
        };
        let mut params = named("meshlite-control-plane");
        params.subject_alt_names.clone_from(&names);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.not_before = (now - SKEW).into();
        params.not_after = lifetime.until.into();
        let certificate = params.signed_by(&pair, &issuer)?;
        Ok(Serving {
            material: Material {
                chain: vec![certificate.into()],
                key: PrivateKeyDer::Pkcs8(pair.serialize_der().into()),
            },
            names,
            lifetime,
            signer: self.der.clone(),
        })
    }
}

/// A name that a certificate is for: an address, or a host name.
pub(super) fn san(name: &str) -> Result<SanType, AuthorityError> {
    Ok(match name.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_not_an_address) => SanType::DnsName(name.try_into()?),
    })
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

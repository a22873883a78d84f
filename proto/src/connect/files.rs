//! The files behind a connection: small, read whole, and checked before they are used.

use std::path::Path;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::io::AsyncReadExt as _;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::Identity,
};

use super::ConnectError;

/// The largest file that is read, in bytes: a bundle of many authorities.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The authorities in a PEM file, of which at least one can be used.
pub(super) async fn ca(path: &Path) -> Result<Vec<u8>, ConnectError> {
    const WHAT: &str = "the CA";
    let pem = read(WHAT, path).await?;
    let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
    let (usable, _) = RootCertStore::empty().add_parsable_certificates(certificates);
    if usable == 0 {
        return Err(wrong(WHAT, path, "there is no certificate in it"));
    }
    Ok(pem)
}

pub(super) async fn identity(certificate: &Path, key: &Path) -> Result<Identity, ConnectError> {
    let certificate = read("the client certificate", certificate).await?;
    let key = read("the client key", key).await?;
    Ok(Identity::from_pem(certificate, key))
}

pub(super) async fn token(path: &Path) -> Result<MetadataValue<Ascii>, ConnectError> {
    const WHAT: &str = "the token";
    let bytes = read(WHAT, path).await?;
    let token = bytes.trim_ascii();
    if token.is_empty() {
        return Err(wrong(WHAT, path, "it is empty"));
    }
    let header = [b"Bearer ".as_slice(), token].concat();
    let mut header = std::str::from_utf8(&header)
        .ok()
        .and_then(|header| MetadataValue::try_from(header).ok())
        .ok_or_else(|| wrong(WHAT, path, "it is not one line of text"))?;
    header.set_sensitive(true);
    Ok(header)
}

async fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, ConnectError> {
    let unreadable = |error: std::io::Error| wrong(what, path, &error.to_string());
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .await
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(wrong(what, path, "it is larger than 1 MiB"));
    }
    Ok(bytes)
}

fn wrong(what: &'static str, path: &Path, why: &str) -> ConnectError {
    ConnectError::File {
        what,
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

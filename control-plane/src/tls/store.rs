//! Where our CA is kept: shared through the API server, in the state folder, or nowhere but here.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use meshlite_kubernetes::{Error, Trust, TrustStore, Written, causes};

use super::{
    authority::{AuthorityError, Key},
    held::Held,
    plan::Step,
};

const CERTIFICATES: &str = "ca.crt";
const KEY: &str = "ca.key";
const NEXT_KEY: &str = "ca-next.key";

/// Where our CA is kept.
#[derive(Debug)]
pub(crate) enum Store {
    /// A Secret and a ConfigMap that all replicas share.
    Kubernetes(TrustStore),
    /// Files of ours in this folder.
    Folder(PathBuf),
    /// Gone with this process.
    Memory,
}

/// What a store held when it was read.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) held: Held,
    /// What clients are shown as trustworthy.
    pub(super) published: String,
    trust: Trust,
}

/// Why a store cannot be used now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the Secret or ConfigMap meshlite-ca: {}", causes(.0))]
    Api(#[from] Error),
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("other replicas write all the time; is anything else writing there?")]
    Contended,
    #[error("there is no CA that signs")]
    NoSigner,
    #[error("{0}; where it is broken for good, remove it and every client gets a new CA")]
    Content(#[from] AuthorityError),
}

impl Store {
    /// What is kept. What is kept in memory is `before`.
    pub(super) async fn load(&self, before: &Held, now: SystemTime) -> Result<Loaded, StoreError> {
        match self {
            Self::Kubernetes(store) => {
                let trust = store.read().await?;
                let none = BTreeMap::new();
                let data = trust.secret.as_ref().map_or(&none, |stored| &stored.data);
                let bytes = |key| data.get(key).map(Vec::as_slice);
                let key = |name| bytes(name).map(|pem| String::from_utf8_lossy(pem));
                let held = Held::read(
                    bytes(CERTIFICATES).unwrap_or_default(),
                    key(KEY).as_deref(),
                    key(NEXT_KEY).as_deref(),
                )?;
                let published = trust.bundle.as_ref().map(|stored| stored.data.clone());
                Ok(Loaded {
                    held,
                    published: published.unwrap_or_default(),
                    trust,
                })
            }
            Self::Folder(folder) => {
                let published = read(&folder.join(CERTIFICATES))?.unwrap_or_default();
                let key = read(&folder.join(KEY))?;
                let next = read(&folder.join(NEXT_KEY))?;
                Ok(Loaded {
                    held: Held::read(published.as_bytes(), key.as_deref(), next.as_deref())?,
                    published,
                    trust: Trust::default(),
                })
            }
            Self::Memory => Ok(Loaded {
                held: before.clone(),
                published: before.bundle(now),
                trust: Trust::default(),
            }),
        }
    }

    /// Writes what a step changed, where nobody else wrote since it was loaded.
    pub(super) async fn save(
        &self,
        step: Step,
        after: &Held,
        loaded: &Loaded,
        now: SystemTime,
    ) -> Result<Written, StoreError> {
        let bundle = after.bundle(now);
        match self {
            Self::Kubernetes(store) if step == Step::Publish => {
                Ok(store.publish(&bundle, &loaded.trust).await?)
            }
            Self::Kubernetes(store) => {
                let pem = |key: &Key| key.pem().as_bytes().to_vec();
                let data = BTreeMap::from([
                    (CERTIFICATES, Some(bundle.into_bytes())),
                    (KEY, after.key.as_ref().map(pem)),
                    (NEXT_KEY, after.next.as_ref().map(pem)),
                ]);
                Ok(store.write(data, &loaded.trust).await?)
            }
            Self::Folder(folder) => {
                save_files(folder, after, &bundle)?;
                Ok(Written::Yes)
            }
            Self::Memory => Ok(Written::Yes),
        }
    }
}

/// Whatever of it is done when this is cut off, what is there is right: a key without a certificate is none, and a next
/// key that signs already is not next any more.
fn save_files(folder: &Path, after: &Held, bundle: &str) -> Result<(), StoreError> {
    let next = folder.join(NEXT_KEY);
    if let Some(key) = &after.next {
        write(&next, key.pem(), 0o600)?;
    }
    write(&folder.join(CERTIFICATES), bundle, 0o644)?;
    if let Some(key) = &after.key {
        write(&folder.join(KEY), key.pem(), 0o600)?;
    }
    if after.next.is_none() && next.exists() {
        fs::remove_file(&next).map_err(|error| StoreError::File { path: next, error })?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::File {
            path: path.to_owned(),
            error,
        }),
    }
}

/// Replaces a file whole. Nobody may read it for a moment with more rights than it ends with.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), StoreError> {
    let temporary = path.with_extension("tmp");
    let replace = || {
        // One that a crash left behind may have other rights.
        fs::remove_file(&temporary).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    replace().map_err(|error| StoreError::File {
        path: path.to_owned(),
        error,
    })
}

//! When what is installed is written, and by whom: a blocking task in the background, seldom.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, timeout},
};

use super::{Cache, CacheError, Kept, disk, pack, unpack};
use crate::{
    session::{Session, TopicDigest},
    v1::Role,
};

/// The shortest time between two writes.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long the end of a subscription waits for the last write.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// Keeps the files of one client.
#[derive(Debug)]
pub(crate) struct Keeper {
    cache: Cache,
    files: Files,
    /// What the files hold, or will once the task has ended.
    written: Vec<TopicDigest>,
    not_before: Option<Instant>,
    is_behind: bool,
    writing: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Clone, Debug)]
struct Files {
    snapshot: PathBuf,
    secrets: Option<PathBuf>,
}

// === impl Keeper ===

impl Keeper {
    /// Clients of different roles may share folders.
    pub(crate) fn new(cache: Cache, role: Role) -> Self {
        let role = match role {
            Role::L4Node => "node",
            Role::Ingress => "ingress",
            Role::Unspecified => "client",
        };
        let secrets = cache.secrets.as_ref();
        Self {
            files: Files {
                snapshot: cache.folder.join(format!("{role}.snapshot")),
                secrets: secrets.map(|folder| folder.join(format!("{role}.secrets"))),
            },
            cache,
            written: Vec::new(),
            not_before: None,
            is_behind: false,
            writing: None,
        }
    }

    /// What the last run wrote, if anything of it can be read.
    pub(crate) async fn load(&self) -> Result<Option<Kept>, CacheError> {
        let (cache, files) = (self.cache.clone(), self.files.clone());
        let loaded = spawn_blocking(move || cache.check().map(|()| files.load())).await;
        loaded.unwrap_or(Ok(None))
    }

    /// What was loaded is installed, and need not be written.
    pub(crate) fn loaded(&mut self, session: &Session) {
        self.written = session.installed_digests();
    }

    /// Writes what is installed if it is time and it differs from what was written.
    pub(crate) fn look(&mut self, now: Instant, session: &Session) {
        self.is_behind = session.installed_digests() != self.written;
        let is_early = self.not_before.is_some_and(|at| now < at);
        if !self.is_behind || is_early || self.writing.is_some() {
            return;
        }
        self.start(now, session);
    }

    /// When to look again, if nothing happens before.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.not_before
            .filter(|_| self.is_behind && self.writing.is_none())
    }

    /// The background task has ended. Cancel-safe; never, where there is none.
    pub(crate) async fn ended(&mut self) {
        let Some(writing) = &mut self.writing else {
            return std::future::pending().await;
        };
        let error = match writing.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(error) => Some(error.into()),
        };
        self.writing = None;
        if let Some(error) = error {
            // It is tried again after a while.
            self.written = Vec::new();
            let file = self.files.snapshot.display();
            tracing::warn!(%file, %error, "the last good snapshot is not kept on disk");
        }
    }

    /// Writes what was not written yet.
    pub(crate) async fn finish(mut self, session: &Session) {
        let last_write = async {
            if self.writing.is_some() {
                self.ended().await;
            }
            self.not_before = None;
            self.look(Instant::now(), session);
            if self.writing.is_some() {
                self.ended().await;
            }
        };
        if timeout(LAST_WRITE, last_write).await.is_err() {
            tracing::warn!("the disk is too slow for the last snapshot, an older one is kept");
        }
    }

    fn start(&mut self, now: Instant, session: &Session) {
        // Nothing that came from disk is written to it.
        let Some(kept) = session.kept() else { return };
        self.written = session.installed_digests();
        self.is_behind = false;
        self.not_before = Some(now + INTERVAL);
        let files = self.files.clone();
        self.writing = Some(spawn_blocking(move || files.write(kept)));
    }
}

// === impl Files ===

impl Files {
    fn load(&self) -> Option<Kept> {
        let mut kept = load(&self.snapshot)?;
        kept.resources.retain(|(topic, ..)| !topic.kind.is_secret());
        if let Some(secrets) = self.secrets.as_deref().and_then(load) {
            let mut resources = secrets.resources;
            resources.retain(|(topic, ..)| topic.kind.is_secret());
            kept.resources.append(&mut resources);
        }
        Some(kept)
    }

    /// Private keys and passwords go to their own file or nowhere.
    fn write(&self, mut kept: Kept) -> io::Result<()> {
        let all = std::mem::take(&mut kept.resources);
        let (secrets, others) = all
            .into_iter()
            .partition(|(topic, ..)| topic.kind.is_secret());
        if let Some(file) = &self.secrets {
            kept.resources = secrets;
            disk::write(file, &pack(&kept)?)?;
        }
        kept.resources = others;
        disk::write(&self.snapshot, &pack(&kept)?)
    }
}

/// What a file holds. What cannot be read is ignored and put aside.
fn load(path: &Path) -> Option<Kept> {
    let file = path.display();
    let bytes = match disk::read(path) {
        Ok(bytes) => bytes?,
        Err(error) => {
            tracing::warn!(%file, %error, "cannot read the last snapshot, starting without it");
            return None;
        }
    };
    match unpack(&bytes) {
        Ok(kept) => Some(kept),
        Err(error) => {
            let aside = disk::put_aside(path).ok();
            tracing::warn!(%file, %error, ?aside, "the last snapshot is damaged, starting without it");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use meshlite_snapshot::{Name, ResourceType, Topic, Version};

    use super::*;

    fn mk_keeper(folder: &Path, secrets: Option<&str>) -> Keeper {
        let cache = Cache {
            folder: folder.to_owned(),
            secrets: secrets.map(|secrets| folder.join(secrets)),
        };
        for made in cache.secrets.iter().chain([&cache.folder]) {
            disk::make(made).unwrap();
        }
        Keeper::new(cache, Role::Ingress)
    }

    fn mk_kept() -> Kept {
        let resource = |kind, body: &'static [u8]| {
            let (topic, name) = (Topic::all(kind), Name::new("a").unwrap());
            (topic, name, Version::of(body), Bytes::from_static(body))
        };
        Kept {
            epoch: "a".into(),
            resources: vec![
                resource(ResourceType::Cluster, b"cluster"),
                resource(ResourceType::TlsSecret, b"hunter2"),
                resource(ResourceType::Credential, b"hunter3"),
            ],
            ..Kept::default()
        }
    }

    #[test]
    fn private_keys_are_only_in_the_folder_for_them_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = mk_keeper(folder.path(), Some("memory"));
        keeper.files.write(mk_kept()).unwrap();
        let snapshot = unpack(&std::fs::read(&keeper.files.snapshot).unwrap()).unwrap();
        assert_eq!(snapshot.resources, mk_kept().resources[..1]);
        assert_eq!(keeper.files.load(), Some(mk_kept()));

        let nowhere = mk_keeper(folder.path(), None);
        let loaded = nowhere.files.load().unwrap();
        assert_eq!(loaded.resources, mk_kept().resources[..1]);
    }

    #[test]
    fn private_keys_that_were_put_into_the_wrong_file_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = mk_keeper(folder.path(), None);
        disk::write(&keeper.files.snapshot, &pack(&mk_kept()).unwrap()).unwrap();
        assert_eq!(keeper.files.load().unwrap().resources.len(), 1);
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_the_rest_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = mk_keeper(folder.path(), Some("memory"));
        keeper.files.write(mk_kept()).unwrap();
        let secrets = keeper.files.secrets.clone().unwrap();
        std::fs::write(&secrets, b"damaged").unwrap();
        assert_eq!(keeper.files.load().unwrap().resources.len(), 1);
        assert!(!secrets.exists());
        assert!(secrets.with_extension("secrets.damaged").exists());
        std::fs::write(&keeper.files.snapshot, b"damaged").unwrap();
        assert_eq!(keeper.files.load(), None);
        assert_eq!(keeper.files.load(), None, "and there is nothing any more");
    }
}

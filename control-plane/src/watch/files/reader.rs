//! Reads and parses what has settled, and keeps for each file what it last held while all of it was good.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    num::NonZero,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use meshlite_manifests::{ManifestFile, parse_all};
use meshlite_snapshot::{Finding, ObjectRef, Severity, SourceLocation};
use tokio::time::Instant;
use tracing::warn;

use super::{
    folder::{Folder, Stat},
    scan::{file_name, path_of, scan, stat_of},
};

/// How long the first start waits for files that keep changing, before it goes on without them.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// Everything the source holds.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The files, by path.
    pub(crate) files: Vec<Arc<ManifestFile>>,
    /// What is wrong with the source itself.
    pub(crate) findings: Vec<Finding>,
    /// When it changed.
    pub(crate) changed: SystemTime,
}

/// A file or folder of manifests.
#[derive(Debug)]
pub(crate) struct Reader {
    root: PathBuf,
    folder: Folder,
    held: BTreeMap<String, Arc<ManifestFile>>,
    /// What the last look could not see, by path; the empty one is the root.
    unseen: BTreeMap<String, Finding>,
    /// What was seen and could not be read, by path.
    unread: BTreeMap<String, Finding>,
    started: Option<Instant>,
    /// All files that were there at the start were read, or waited for long enough.
    is_complete: bool,
}

impl Reader {
    /// A reader that has read nothing. Fails where there is nothing to read.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        scan(root)?;
        Ok(Self {
            root: root.to_owned(),
            folder: Folder::default(),
            held: BTreeMap::new(),
            unseen: BTreeMap::new(),
            unread: BTreeMap::new(),
            started: None,
            is_complete: false,
        })
    }

    /// Whether the last look saw the folder.
    pub(crate) fn is_reachable(&self) -> bool {
        !self.unseen.contains_key("")
    }

    /// Looks at the folder, reads what has settled, and says what it holds if that changed. Blocks.
    pub(crate) fn look(&mut self, now: Instant, wall: SystemTime) -> Option<Loaded> {
        let started = *self.started.get_or_insert(now);
        let (unseen, unread) = (self.unseen.clone(), self.unread.clone());
        let mut changed = self.take_in(now, wall);
        changed |= unseen != self.unseen || unread != self.unread;
        if !self.is_complete {
            if !self.is_reachable() || !self.may_start(now - started) {
                return None;
            }
            self.is_complete = true;
            changed = true;
        }
        changed.then(|| self.loaded(wall))
    }

    /// Says whether what is held changed.
    fn take_in(&mut self, now: Instant, wall: SystemTime) -> bool {
        let scan = match scan(&self.root) {
            Ok(scan) => scan,
            Err(error) => {
                let finding = unreachable_root(&self.root, &error);
                self.unseen.insert(String::new(), finding);
                return false;
            }
        };
        let trouble = |(path, error): (&String, &String)| (path.clone(), unreadable(path, error));
        self.unseen = scan.unreadable.iter().map(trouble).collect();
        let steps = self.folder.observe(&scan, now, wall);
        for path in &steps.forget {
            self.held.remove(path);
            self.unread.remove(path);
        }
        let was_read = self.read(&steps.read, now);
        was_read || !steps.forget.is_empty()
    }

    /// Whether what was read is enough to start with.
    fn may_start(&mut self, waited: Duration) -> bool {
        let unsettled = self.folder.unsettled();
        let unsettled = unsettled.filter(|path| !self.unread.contains_key(*path));
        let unsettled: Vec<_> = unsettled.map(str::to_owned).collect();
        if unsettled.is_empty() {
            return true;
        }
        if waited < PATIENCE {
            return false;
        }
        warn!(files = ?unsettled, "starting without files that keep changing");
        for path in unsettled {
            let finding = about(
                &path,
                "StillChanging",
                "keeps changing, so nothing was read of it".to_owned(),
            );
            self.hold_place(&path, finding);
        }
        true
    }

    fn loaded(&self, wall: SystemTime) -> Loaded {
        Loaded {
            files: self.held.values().cloned().collect(),
            findings: self
                .unseen
                .values()
                .chain(self.unread.values())
                .cloned()
                .collect(),
            changed: wall,
        }
    }

    /// Reads and parses these files, and says whether any was read.
    fn read(&mut self, paths: &[String], now: Instant) -> bool {
        let root = &self.root;
        let read = read_all(paths, |path| {
            read_whole(&path_of(root, path), self.folder.stat(path))
        });
        let mut texts = Vec::new();
        for (path, text) in paths.iter().zip(read) {
            match text {
                Ok(Some(text)) => {
                    self.unread.remove(path);
                    texts.push((path.clone(), text));
                }
                Ok(None) => self.folder.unsettle(path, now),
                Err(error) => {
                    let finding = unreadable(path, &error.to_string());
                    self.hold_place(path, finding.clone());
                    self.unread.insert(path.clone(), finding);
                    // It may have been for want of something else than the file: it is tried again.
                    self.folder.unsettle(path, now);
                }
            }
        }
        let was_read = !texts.is_empty();
        for new in parse_all(texts) {
            let file = keep_last_good(self.held.get(&new.path), new);
            self.held.insert(file.path.clone(), Arc::new(file));
        }
        was_read
    }

    /// A file of which nothing was ever read is there all the same: what its objects were given before is not free.
    fn hold_place(&mut self, path: &str, finding: Finding) {
        let place = || {
            Arc::new(ManifestFile {
                path: path.to_owned(),
                findings: vec![finding],
                ..ManifestFile::default()
            })
        };
        self.held.entry(path.to_owned()).or_insert_with(place);
    }
}

/// Reads everything once, without waiting for anything.
pub(crate) fn read_once(root: &Path) -> io::Result<Loaded> {
    let mut findings = Vec::new();
    let mut texts = Vec::new();
    if fs::metadata(root)?.file_type().is_fifo() {
        // Another command's output.
        texts.push((file_name(root), read_bounded(root)?));
    } else {
        let seen = scan(root)?;
        let unseen = seen.unreadable.iter();
        findings.extend(unseen.map(|(path, error)| unreadable(path, error)));
        let paths: Vec<_> = seen.files.into_keys().collect();
        let read = read_all(&paths, |path| read_bounded(&path_of(root, path)));
        for (path, text) in paths.into_iter().zip(read) {
            match text {
                Ok(text) => texts.push((path, text)),
                Err(error) => findings.push(unreadable(&path, &error.to_string())),
            }
        }
    }
    Ok(Loaded {
        files: parse_all(texts).into_iter().map(Arc::new).collect(),
        findings,
        changed: SystemTime::UNIX_EPOCH,
    })
}

/// A file that is not good keeps the objects that it held, and says what is wrong now. One that held nothing gives
/// what is good of it.
fn keep_last_good(held: Option<&Arc<ManifestFile>>, new: ManifestFile) -> ManifestFile {
    match held.filter(|held| !held.objects.is_empty()) {
        Some(held) if !new.is_good() => {
            let mut findings = new.findings;
            findings.push(kept(&new.path));
            ManifestFile {
                path: new.path,
                objects: held.objects.clone(),
                findings,
                skipped: held.skipped.clone(),
            }
        }
        Some(_) | None => new,
    }
}

/// The file's bytes; none where it is not any longer what was seen.
fn read_whole(path: &Path, seen: Option<&Stat>) -> io::Result<Option<Vec<u8>>> {
    let text = read_bounded(path)?;
    let stat = stat_of(path)?;
    let is_whole = seen == Some(&stat) && text.len() as u64 == stat.size;
    Ok(is_whole.then_some(text))
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let too_large = || io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes"));
    let size = file.metadata()?.len();
    if size > MAX_FILE_BYTES {
        return Err(too_large());
    }
    let mut text = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large());
    }
    Ok(text)
}

/// Reads on all cores; in the order of the paths.
fn read_all<T: Send>(paths: &[String], read: impl Fn(&str) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = paths.len().div_ceil(threads).max(64);
    let read = &read;
    thread::scope(|scope| {
        let work: Vec<_> = paths
            .chunks(share)
            .map(|paths| scope.spawn(move || paths.iter().map(|p| read(p)).collect::<Vec<_>>()))
            .collect();
        let join = |work: thread::ScopedJoinHandle<'_, Vec<T>>| match work.join() {
            Ok(read) => read,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        work.into_iter().flat_map(join).collect()
    })
}

fn unreadable(path: &str, error: &str) -> Finding {
    about(
        path,
        "Unreadable",
        format!("cannot be read: {error}; what was read of it before stays"),
    )
}

fn kept(path: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        ..about(
            path,
            "LastGoodKept",
            "has errors, so what it held before stays until all of it is good".to_owned(),
        )
    }
}

/// A finding about a file as a whole.
fn about(path: &str, reason: &'static str, message: String) -> Finding {
    Finding {
        severity: Severity::Error,
        object: ObjectRef::new("File", "", path),
        field: String::new(),
        reason: reason.into(),
        message,
        source: Some(SourceLocation {
            file: path.to_owned(),
            document: 1,
            line: 1,
        }),
    }
}

fn unreachable_root(root: &Path, error: &io::Error) -> Finding {
    Finding {
        severity: Severity::Error,
        object: ObjectRef::new("File", "", root.display().to_string()),
        field: String::new(),
        reason: "SourceGone".into(),
        message: format!(
            "the manifests (--manifests) cannot be read: {error}; what was read before stays"
        ),
        source: None,
    }
}

#[cfg(test)]
mod tests;

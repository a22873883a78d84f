//! Allocations on disk: written whole, and a file that cannot be read never keeps anything from starting.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use meshlite_manifests::admit::Allocations;
use meshlite_snapshot::{Finding, ObjectRef, Severity};
use tracing::{error, warn};

const FILE: &str = "allocations.json";

/// What is allocated now, and where that is written.
#[derive(Debug)]
pub(crate) struct AllocationStore {
    file: Option<PathBuf>,
    current: Allocations,
    is_saved: bool,
    /// What went wrong at start, then with the last write.
    damaged: Option<Finding>,
    unsaved: Option<Finding>,
}

impl AllocationStore {
    /// Reads what was allocated before; without a folder, nothing. Only a folder that cannot be used is an error: a file
    /// that cannot be understood is moved aside.
    pub(crate) fn open(folder: Option<&Path>) -> io::Result<Self> {
        let mut store = Self {
            file: folder.map(|folder| folder.join(FILE)),
            current: Allocations::default(),
            is_saved: true,
            damaged: None,
            unsaved: None,
        };
        if let (Some(folder), Some(file)) = (folder, &store.file) {
            fs::create_dir_all(folder)?;
            match read(file)? {
                Ok(allocations) => store.current = allocations,
                Err(problem) => {
                    let aside = move_aside(file)?;
                    warn!(file = %file.display(), aside = %aside.display(), problem, "allocations cannot be read");
                    store.damaged = Some(damaged(file, &aside, &problem));
                }
            }
        }
        Ok(store)
    }

    /// Reads what is allocated, and leaves the folder as it is.
    pub(crate) fn peek(folder: Option<&Path>) -> io::Result<Allocations> {
        let Some(folder) = folder else {
            return Ok(Allocations::default());
        };
        Ok(read(&folder.join(FILE))?.unwrap_or_default())
    }

    /// What is allocated now.
    pub(crate) fn current(&self) -> &Allocations {
        &self.current
    }

    /// Takes over what is allocated from now on and writes it, if it changed or was not written yet.
    pub(crate) fn replace(&mut self, allocations: Allocations) {
        if self.current == allocations && self.is_saved {
            return;
        }
        self.current = allocations;
        let Some(file) = &self.file else {
            return;
        };
        self.unsaved = match write(file, &self.current) {
            Ok(()) => None,
            Err(problem) => {
                error!(file = %file.display(), %problem, "allocations cannot be written");
                Some(unsaved(file, &problem))
            }
        };
        self.is_saved = self.unsaved.is_none();
    }

    /// What is allocated will be there after a restart, as far as it should be.
    pub(crate) fn is_saved(&self) -> bool {
        self.is_saved
    }

    /// What is wrong with the state folder.
    pub(crate) fn findings(&self) -> impl Iterator<Item = Finding> {
        self.damaged.iter().chain(&self.unsaved).cloned()
    }
}

/// The inner error is about what the file holds.
fn read(file: &Path) -> io::Result<Result<Allocations, String>> {
    match fs::read(file) {
        Ok(text) => Ok(serde_json::from_slice(&text).map_err(|problem| problem.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ok(Allocations::default())),
        Err(error) => Err(error),
    }
}

/// After a crash there is either the old file or the new one, whole.
fn write(file: &Path, allocations: &Allocations) -> io::Result<()> {
    let temporary = file.with_extension("json.tmp");
    let mut out = File::create(&temporary)?;
    serde_json::to_writer_pretty(&mut out, allocations)?;
    out.write_all(b"\n")?;
    out.sync_all()?;
    fs::rename(&temporary, file)?;
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Renames the file to the first name that is free.
fn move_aside(file: &Path) -> io::Result<PathBuf> {
    let mut number = 1;
    let mut aside = file.with_extension("json.corrupt");
    while aside.exists() {
        number += 1;
        aside = file.with_extension(format!("json.corrupt{number}"));
    }
    fs::rename(file, &aside)?;
    Ok(aside)
}

fn damaged(file: &Path, aside: &Path, problem: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        object: ObjectRef::new("File", "", file.display().to_string()),
        field: String::new(),
        reason: "StateCorrupt".into(),
        message: format!(
            "allocated addresses and node ports cannot be read: {problem}; the file is now {}, and all were allocated anew",
            aside.display()
        ),
        source: None,
    }
}

fn unsaved(file: &Path, problem: &io::Error) -> Finding {
    Finding {
        severity: Severity::Error,
        object: ObjectRef::new("File", "", file.display().to_string()),
        field: String::new(),
        reason: "StateNotWritten".into(),
        message: format!(
            "allocated addresses and node ports cannot be written: {problem}; they will change at a restart"
        ),
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use meshlite_manifests::admit::ServiceAllocation;

    use super::*;

    fn mk_allocations(ip: &str) -> Allocations {
        let web = ServiceAllocation {
            cluster_ips: vec![ip.parse().unwrap()],
            ..ServiceAllocation::default()
        };
        Allocations {
            services: [("default/web".to_owned(), web)].into(),
        }
    }

    #[test]
    fn allocations_are_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("made/when/missing");
        let mut store = AllocationStore::open(Some(&state)).unwrap();
        assert_eq!(*store.current(), Allocations::default());
        store.replace(mk_allocations("10.96.0.1"));
        store.replace(mk_allocations("10.96.0.2"));
        let again = AllocationStore::open(Some(&state)).unwrap();
        assert_eq!(*again.current(), mk_allocations("10.96.0.2"));
        assert_eq!(
            AllocationStore::peek(Some(&state)).unwrap(),
            mk_allocations("10.96.0.2")
        );
        assert_eq!(again.findings().count(), 0);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_moved_aside_and_told() {
        let folder = tempfile::tempdir().unwrap();
        for aside in ["allocations.json.corrupt", "allocations.json.corrupt2"] {
            fs::write(folder.path().join(FILE), "{\"version\": 1, \"serv").unwrap();
            let store = AllocationStore::open(Some(folder.path())).unwrap();
            assert_eq!(*store.current(), Allocations::default());
            let findings: Vec<_> = store.findings().collect();
            assert_eq!(findings[0].reason, "StateCorrupt");
            assert!(folder.path().join(aside).exists(), "{aside}");
            assert!(!folder.path().join(FILE).exists());
        }
    }

    #[test]
    fn a_write_that_fails_is_told_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let mut store = AllocationStore::open(Some(&state)).unwrap();
        fs::remove_dir(&state).unwrap();
        store.replace(mk_allocations("10.96.0.1"));
        assert_eq!(store.findings().next().unwrap().reason, "StateNotWritten");
        assert_eq!(*store.current(), mk_allocations("10.96.0.1"));
        fs::create_dir(&state).unwrap();
        store.replace(mk_allocations("10.96.0.1"));
        assert_eq!(store.findings().count(), 0);
        let again = AllocationStore::open(Some(&state)).unwrap();
        assert_eq!(*again.current(), mk_allocations("10.96.0.1"));
    }

    #[test]
    fn without_a_folder_they_live_in_memory() {
        let mut store = AllocationStore::open(None).unwrap();
        store.replace(mk_allocations("10.96.0.1"));
        assert_eq!(*store.current(), mk_allocations("10.96.0.1"));
        assert_eq!(store.findings().count(), 0);
    }
}

//! Looks at a file or folder: one system call for a file, three for a link.

use std::{
    fs::{self, DirEntry, FileType, Metadata},
    io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::folder::{Scan, Stat};

/// What a manifest's name ends with.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
/// Folders within folders; nobody has more.
const MAX_DEPTH: usize = 64;
/// Files and folders that are looked at. Links can lead to the same folders over and over.
const MAX_ENTRIES: usize = 200_000;

/// Looks at `root`: all manifests below it, or the file itself whatever its name is. An error is about `root` itself.
///
/// What begins with a dot is passed over, and links are followed: a mounted `ConfigMap` is a folder of links into
/// `..data`, which is a link to the folder `..2026_11_20…` of the moment.
pub(super) fn scan(root: &Path) -> io::Result<Scan> {
    let metadata = fs::metadata(root)?;
    let mut walk = Walk::default();
    if metadata.is_dir() {
        walk.above.push(identity(&metadata));
        walk.folder(root, "")?;
    } else if metadata.is_file() {
        walk.scan.files.insert(file_name(root), stat_of(root)?);
    } else {
        return Err(neither());
    }
    Ok(walk.scan)
}

/// What a manifest that is not in a folder is called.
pub(super) fn file_name(root: &Path) -> String {
    let name = root.file_name().unwrap_or(root.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Where the file that [`scan`] named is.
pub(super) fn path_of(root: &Path, file: &str) -> PathBuf {
    if root.is_dir() {
        root.join(file)
    } else {
        root.to_owned()
    }
}

/// Looks at a file alone, as [`scan`] does.
pub(super) fn stat_of(path: &Path) -> io::Result<Stat> {
    let link = fs::symlink_metadata(path)?;
    if link.is_symlink() {
        Ok(stat(&fs::metadata(path)?, fs::canonicalize(path).ok()))
    } else {
        Ok(stat(&link, None))
    }
}

/// A look at a folder and those below it.
#[derive(Default)]
struct Walk {
    scan: Scan,
    /// The folders around this place, so that a link to one of them does not lead in circles.
    above: Vec<(u64, u64)>,
    entries: usize,
}

impl Walk {
    fn folder(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.as_bytes().starts_with(b".") {
                continue;
            }
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                let message = format!("more than {MAX_ENTRIES} files and folders are in it");
                return Err(io::Error::other(message));
            }
            let path = format!("{prefix}{}", name.to_string_lossy());
            match self.look_at(&entry, &path, name.to_str().is_some()) {
                Ok(()) => {}
                Err(error) if self.entries > MAX_ENTRIES => return Err(error),
                // It went between the listing and the look.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !is_link(&entry) => {}
                Err(error) => {
                    self.scan.unreadable.insert(path, error.to_string());
                }
            }
        }
        Ok(())
    }

    fn look_at(&mut self, entry: &DirEntry, path: &str, is_utf8: bool) -> io::Result<()> {
        let kind = entry.file_type()?;
        if !kind.is_dir() && !kind.is_symlink() && !is_manifest(path) {
            return Ok(());
        }
        // A link that leads nowhere matters only where it has a manifest's name.
        let metadata = match resolve(entry, kind) {
            Err(_) if kind.is_symlink() && !is_manifest(path) => return Ok(()),
            resolved => resolved?,
        };
        let is_folder = metadata.is_dir();
        if !is_folder && !is_manifest(path) {
            return Ok(());
        }
        if !is_utf8 {
            return Err(io::Error::other("its name is not UTF-8"));
        }
        if is_folder {
            let identity = identity(&metadata);
            if self.above.contains(&identity) || self.above.len() >= MAX_DEPTH {
                return Ok(());
            }
            self.above.push(identity);
            let walked = self.folder(&entry.path(), &format!("{path}/"));
            self.above.pop();
            return walked;
        }
        // Reading a pipe would wait, and a device has no end.
        if !metadata.is_file() {
            return Err(neither());
        }
        let target = if kind.is_symlink() {
            Some(fs::canonicalize(entry.path())?)
        } else {
            None
        };
        let stat = stat(&metadata, target);
        self.scan.files.insert(path.to_owned(), stat);
        Ok(())
    }
}

fn neither() -> io::Error {
    io::Error::other("it is neither a file nor a folder")
}

/// The metadata of what the entry leads to.
fn resolve(entry: &DirEntry, kind: FileType) -> io::Result<Metadata> {
    if kind.is_symlink() {
        fs::metadata(entry.path())
    } else {
        entry.metadata()
    }
}

fn is_link(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_symlink())
}

fn is_manifest(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, extension)| EXTENSIONS.contains(&extension))
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn stat(metadata: &Metadata, target: Option<PathBuf>) -> Stat {
    Stat {
        modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        size: metadata.len(),
        inode: identity(metadata),
        target,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::OsStr,
        os::unix::{fs::symlink, net::UnixListener},
    };

    use super::*;

    fn files(root: &Path) -> Vec<String> {
        scan(root).unwrap().files.into_keys().collect()
    }

    #[test]
    fn manifests_are_found_below_the_folder_and_dotfiles_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("sub/deeper")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        for name in [
            "a.yaml",
            "b.yml",
            "c.json",
            "d.txt",
            ".e.yaml",
            ".a.yaml.swp",
            "sub/deeper/f.yaml",
            ".git/g.yaml",
        ] {
            fs::write(root.join(name), "").unwrap();
        }
        assert_eq!(
            files(root),
            ["a.yaml", "b.yml", "c.json", "sub/deeper/f.yaml"]
        );
    }

    #[test]
    fn a_mounted_config_map_is_read_through_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("..1")).unwrap();
        fs::create_dir(root.join("..2")).unwrap();
        fs::write(root.join("..1/a.yaml"), "1").unwrap();
        fs::write(root.join("..2/a.yaml"), "2").unwrap();
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
        let before = scan(root).unwrap();
        assert_eq!(before.files.keys().collect::<Vec<_>>(), ["a.yaml"]);
        symlink("..2", root.join("..new")).unwrap();
        fs::rename(root.join("..new"), root.join("..data")).unwrap();
        let after = scan(root).unwrap();
        assert_ne!(before.files["a.yaml"], after.files["a.yaml"]);
        assert_eq!(
            stat_of(&root.join("a.yaml")).unwrap(),
            after.files["a.yaml"]
        );
    }

    #[test]
    fn links_in_circles_end_and_links_to_nowhere_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("sub/a.yaml"), "").unwrap();
        symlink("..", root.join("sub/up")).unwrap();
        symlink("missing.yaml", root.join("lost.yaml")).unwrap();
        symlink("missing", root.join("lost")).unwrap();
        let scan = scan(root).unwrap();
        assert_eq!(scan.files.keys().collect::<Vec<_>>(), ["sub/a.yaml"]);
        assert_eq!(scan.unreadable.keys().collect::<Vec<_>>(), ["lost.yaml"]);
    }

    #[test]
    fn what_is_no_file_and_what_has_no_readable_name_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let odd = |name: &[u8]| root.join(OsStr::from_bytes(name));
        fs::write(odd(b"\xff.yaml"), "").unwrap();
        fs::write(odd(b"\xff.txt"), "").unwrap();
        fs::create_dir(odd(b"\xfe")).unwrap();
        symlink("loop.yaml", root.join("loop.yaml")).unwrap();
        symlink("/dev/zero", root.join("zero.yaml")).unwrap();
        symlink("/dev/null", root.join("null.txt")).unwrap();
        let socket = UnixListener::bind(root.join("socket.yaml")).unwrap();
        let scan = scan(root).unwrap();
        drop(socket);
        assert_eq!(scan.files.len(), 0);
        let told: Vec<_> = scan.unreadable.iter().collect();
        let neither = "it is neither a file nor a folder";
        let name = "its name is not UTF-8";
        let is = |index: usize, path: &str, why: &str| {
            assert_eq!(
                (told[index].0.as_str(), told[index].1.as_str()),
                (path, why)
            );
        };
        assert_eq!(told.len(), 5, "{told:?}");
        assert_eq!(told[0].0, "loop.yaml");
        is(1, "socket.yaml", neither);
        is(2, "zero.yaml", neither);
        is(3, "\u{fffd}", name);
        is(4, "\u{fffd}.yaml", name);
        assert!(super::scan(Path::new("/dev/zero")).is_err());
    }

    #[test]
    fn links_that_lead_everywhere_from_everywhere_end() {
        let folder = tempfile::tempdir().unwrap();
        let folders: Vec<_> = (0..12).map(|i| folder.path().join(i.to_string())).collect();
        for from in &folders {
            fs::create_dir(from).unwrap();
        }
        for from in &folders {
            for (number, to) in folders.iter().enumerate() {
                symlink(to, from.join(number.to_string())).unwrap();
            }
        }
        let error = scan(folder.path()).unwrap_err();
        assert!(error.to_string().contains("more than 200000"), "{error}");
    }

    #[test]
    fn a_file_that_is_named_is_read_whatever_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("manifests.txt");
        fs::write(&file, "").unwrap();
        assert_eq!(files(&file), ["manifests.txt"]);
        assert_eq!(path_of(&file, "manifests.txt"), file);
        assert!(scan(&folder.path().join("nothing")).is_err());
    }
}

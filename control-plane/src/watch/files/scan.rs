//! Looks at a file or folder: one system call for a file, three for a link.

use std::{
    fs::{self, DirEntry, FileType, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::folder::{Scan, Stat};

/// What a manifest's name ends with.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
/// Folders within folders; nobody has more.
const MAX_DEPTH: usize = 64;

/// Looks at `root`: all manifests below it, or the file itself whatever its name is. An error is about `root` itself.
///
/// What begins with a dot is passed over, and links are followed: a mounted `ConfigMap` is a folder of links into
/// `..data`, which is a link to the folder `..2026_11_20…` of the moment.
pub(super) fn scan(root: &Path) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let metadata = fs::metadata(root)?;
    if metadata.is_dir() {
        let mut above = vec![identity(&metadata)];
        walk(root, "", &mut above, &mut scan)?;
    } else {
        let name = root.file_name().unwrap_or(root.as_os_str());
        let name = name.to_string_lossy().into_owned();
        scan.files.insert(name, stat_of(root)?);
    }
    Ok(scan)
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

/// `above` holds the folders around this one, so that a link to one of them does not lead in circles.
fn walk(
    folder: &Path,
    prefix: &str,
    above: &mut Vec<(u64, u64)>,
    scan: &mut Scan,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let path = format!("{prefix}{name}");
        match look_at(&entry, &path, above, scan) {
            Ok(()) => {}
            // It went between the listing and the look.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_link(&entry) => {}
            Err(error) => {
                scan.unreadable.insert(path, error.to_string());
            }
        }
    }
    Ok(())
}

fn look_at(
    entry: &DirEntry,
    path: &str,
    above: &mut Vec<(u64, u64)>,
    scan: &mut Scan,
) -> io::Result<()> {
    let kind = entry.file_type()?;
    if kind.is_file() && !is_manifest(path) {
        return Ok(());
    }
    // A link that leads nowhere matters only where it has a manifest's name.
    let metadata = match resolve(entry, kind) {
        Err(_) if kind.is_symlink() && !is_manifest(path) => return Ok(()),
        resolved => resolved?,
    };
    if metadata.is_dir() {
        let identity = identity(&metadata);
        if above.contains(&identity) || above.len() >= MAX_DEPTH {
            return Ok(());
        }
        above.push(identity);
        let walked = walk(&entry.path(), &format!("{path}/"), above, scan);
        above.pop();
        walked
    } else {
        if metadata.is_file() && is_manifest(path) {
            let target = if kind.is_symlink() {
                Some(fs::canonicalize(entry.path())?)
            } else {
                None
            };
            scan.files.insert(path.to_owned(), stat(&metadata, target));
        }
        Ok(())
    }
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
    use std::os::unix::fs::symlink;

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
    fn a_file_that_is_named_is_read_whatever_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("manifests.txt");
        fs::write(&file, "").unwrap();
        assert_eq!(files(&file), ["manifests.txt"]);
        assert_eq!(path_of(&file, "manifests.txt"), file);
        assert!(scan(&folder.path().join("nothing")).is_err());
    }
}

//! Programs that run in the network namespace of this thread, and which of them has a socket open.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// A program that runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    /// Its name, of which the kernel keeps 15 bytes.
    pub(crate) name: String,
    /// Its number.
    pub(crate) pid: u32,
}

/// Programs of this network namespace, and by its inode who has each socket open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processes {
    /// All of them, by name.
    pub(crate) all: Vec<Process>,
    sockets: BTreeMap<u64, Process>,
}

impl Processes {
    /// Reads them. What may not be read, or ends meanwhile, is left out.
    pub(crate) fn read() -> io::Result<Self> {
        let here = fs::read_link("/proc/thread-self/ns/net")?;
        let mut processes = Self::default();
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            if let Some(process) = process(&path, &here) {
                let sockets = sockets(&path);
                let held = sockets.into_iter().map(|inode| (inode, process.clone()));
                processes.sockets.extend(held);
                processes.all.push(process);
            }
        }
        processes.all.sort();
        Ok(processes)
    }

    /// Who has a socket open.
    pub(crate) fn holder(&self, inode: u64) -> Option<&Process> {
        self.sockets.get(&inode)
    }
}

/// The program of a folder in `/proc`, if it is in this namespace.
fn process(folder: &Path, here: &Path) -> Option<Process> {
    let pid = folder.file_name()?.to_str()?.parse().ok()?;
    let namespace = fs::read_link(folder.join("ns/net")).ok()?;
    let name = fs::read_to_string(folder.join("comm")).ok()?;
    (namespace == here).then(|| Process {
        name: name.trim_end().to_owned(),
        pid,
    })
}

/// The inodes of the sockets that the program of a folder has open.
fn sockets(folder: &Path) -> Vec<u64> {
    let files = fs::read_dir(folder.join("fd")).into_iter().flatten();
    let target = |file: io::Result<fs::DirEntry>| fs::read_link(file.ok()?.path()).ok();
    let socket = |target: PathBuf| inode(&target.into_os_string());
    files.filter_map(target).filter_map(socket).collect()
}

/// The inode in `socket:[4711]`.
fn inode(target: &OsString) -> Option<u64> {
    let text = std::str::from_utf8(target.as_bytes()).ok()?;
    text.strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

/// As findings name it.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, pid } = self;
        write!(f, "{name} (process {pid})")
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsRawFd as _, process};

    use super::*;
    use crate::host::testing::in_namespace;

    #[test]
    fn who_has_a_socket_open_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = format!("/proc/self/fd/{}", listener.as_raw_fd());
        let inode = inode(&fs::read_link(link).unwrap().into_os_string()).unwrap();
        let processes = Processes::read().unwrap();
        let holder = processes.holder(inode).unwrap();
        assert_eq!(holder.pid, process::id());
        assert!(processes.all.contains(holder), "{holder}");
        assert_eq!(processes.holder(u64::MAX), None);
    }

    #[test]
    fn programs_of_other_network_namespaces_are_left_out() {
        in_namespace(|| {
            let processes = Processes::read().unwrap();
            let own = processes.all.iter().find(|it| it.pid == process::id());
            assert_eq!(own, None, "its first thread is in another");
        });
    }
}

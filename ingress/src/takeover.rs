//! A restart in place: the ingress that comes takes the listening sockets of the one that goes.
//!
//! ```text
//! successor                                       predecessor
//!    │ connect, then install what it will serve         │ serves
//!    ├──────────────── wanted ─────────────────────────>│
//!    │<─────────────── every socket (SCM_RIGHTS) ───────┤ both accept from the same queues
//!    ├──────────────── serving ────────────────────────>│ drains, and ends
//! ```
//!
//! They are the very sockets: nothing that waits in an accept queue is lost, and none is closed before the other one
//! has it. A successor that ends before it serves changes nothing.

mod wire;

use std::{
    ffi::OsString,
    fs::{self, Permissions},
    io,
    net::TcpListener,
    os::{
        fd::AsFd as _,
        unix::fs::{FileTypeExt as _, PermissionsExt as _},
    },
    path::Path,
};

use rustix::process::geteuid;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
};
use tracing::{info, warn};

use self::wire::Word;
use crate::listen::Command;

/// More are no ingress's.
const MAX_SOCKETS: usize = 16 * 1024;

/// The ingress that serves now.
#[derive(Debug)]
pub(crate) struct Predecessor(UnixStream);

/// Whose sockets a successor gets.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    pub(crate) workers: Vec<mpsc::Sender<Command>>,
    pub(crate) admin: Option<TcpListener>,
}

// === impl Predecessor ===

impl Predecessor {
    /// The ingress that can be taken over from at this path, if one runs.
    pub(crate) async fn find(path: &Path) -> io::Result<Option<Self>> {
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error) => {
                return match error.kind() {
                    // One that ended leaves its file.
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                    _ => Err(error),
                };
            }
        };
        check_peer(&stream)?;
        Ok(Some(Self(stream)))
    }

    /// All its listening sockets. It goes on accepting from them.
    pub(crate) async fn sockets(&self) -> io::Result<Vec<TcpListener>> {
        wire::send(&self.0, Word::Wanted, None).await?;
        let mut sockets = Vec::new();
        loop {
            match wire::receive(&self.0).await? {
                (Word::Socket, Some(socket)) if sockets.len() < MAX_SOCKETS => {
                    sockets.push(TcpListener::from(socket));
                }
                (Word::End, None) => return Ok(sockets),
                _ => return Err(wire::nonsense()),
            }
        }
    }

    /// Has it drain and end.
    pub(crate) async fn relieve(self) -> io::Result<()> {
        wire::send(&self.0, Word::Serving, None).await
    }
}

// === impl Holders ===

impl Holders {
    /// Their sockets, once more.
    async fn sockets(&self) -> io::Result<Vec<TcpListener>> {
        let admin = self.admin.as_ref().map(TcpListener::try_clone);
        let mut sockets: Vec<_> = admin.transpose()?.into_iter().collect();
        for worker in &self.workers {
            let (give, given) = oneshot::channel();
            let asked = worker.send(Command::Share(give)).await;
            asked.map_err(io::Error::other)?;
            sockets.extend(given.await.map_err(io::Error::other)??);
        }
        Ok(sockets)
    }

    /// Gives a successor the sockets. Ok once it serves.
    async fn hand_over(&self, stream: &UnixStream) -> io::Result<()> {
        check_peer(stream)?;
        if !matches!(wire::receive(stream).await?, (Word::Wanted, None)) {
            return Err(wire::nonsense());
        }
        for socket in self.sockets().await? {
            wire::send(stream, Word::Socket, Some(socket.as_fd())).await?;
        }
        wire::send(stream, Word::End, None).await?;
        match wire::receive(stream).await? {
            (Word::Serving, None) => Ok(()),
            _ => Err(wire::nonsense()),
        }
    }
}

/// Whether a socket can be made at this path, without making it: whoever listens there still does.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::Error::other("there is something that is no socket"));
        }
        _ => {}
    }
    let (listener, beside) = bind_beside(path)?;
    drop(listener);
    fs::remove_file(beside)
}

/// Listens for successors, in place of whoever did so at this path.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    let (listener, beside) = bind_beside(path)?;
    fs::rename(&beside, path)?;
    Ok(listener)
}

fn bind_beside(path: &Path) -> io::Result<(UnixListener, OsString)> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{:08x}", fastrand::u32(..)));
    let listener = UnixListener::bind(&beside)?;
    fs::set_permissions(&beside, Permissions::from_mode(0o600))?;
    Ok((listener, beside))
}

/// Serves successors until one of them serves in place of this process.
pub(crate) async fn serve(listener: UnixListener, holders: Holders) {
    loop {
        let handed_over = match listener.accept().await {
            Ok((stream, _)) => holders.hand_over(&stream).await,
            Err(error) => Err(error),
        };
        match handed_over {
            Ok(()) => {
                info!("another ingress has taken over");
                return;
            }
            Err(error) => warn!(%error, "no takeover; this ingress goes on"),
        }
    }
}

/// Nobody else gets sockets, or may say what is served on them.
fn check_peer(stream: &UnixStream) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    if uid == 0 || uid == geteuid().as_raw() {
        return Ok(());
    }
    let message = format!("user {uid} may not take over; run both as the same user");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_path_where_no_socket_can_be_made_is_refused_and_leaves_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "kept").unwrap();
        for path in ["away/socket", "file", "file/socket", "."] {
            let path = folder.path().join(path);
            assert!(check(&path).is_err(), "{}", path.display());
        }
        assert_eq!(fs::read_to_string(file).unwrap(), "kept");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn looking_whether_a_socket_can_be_made_takes_it_from_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        check(&path).unwrap();
        assert!(Predecessor::find(&path).await.unwrap().is_none());
        let _listener = listen(&path).unwrap();
        check(&path).unwrap();
        assert!(Predecessor::find(&path).await.unwrap().is_some());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

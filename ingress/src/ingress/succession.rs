//! This process's place between the ingress before it and the one after it.

use std::{
    net::{SocketAddr, TcpListener},
    os::fd::AsFd as _,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use meshlite_proto::subscribe::{Commit, SessionStatus};
use meshlite_runtime::listen::{self, ListenError};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    install::Installer,
    listen::Shared,
    takeover::{self, Holders, Predecessor},
};

/// How long what comes from disk is no reason to take over: a control plane may say something newer.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(5);
/// How long a predecessor may take to give its sockets.
const GIVEN_WITHIN: Duration = Duration::from_secs(10);

/// Whom this process takes over from, and who may take over from it.
#[derive(Debug)]
pub(super) struct Succession {
    pub(super) shared: Arc<Shared>,
    /// Where successors come; nobody comes.
    pub(super) path: Option<PathBuf>,
    pub(super) predecessor: Option<Predecessor>,
    pub(super) holders: Holders,
    /// Where the admin server's socket goes once this process is ready.
    pub(super) admin: Option<oneshot::Sender<TcpListener>>,
    /// What the predecessor gave.
    pub(super) given_admin: Option<TcpListener>,
    pub(super) status: watch::Receiver<SessionStatus>,
    /// Since when there is something to serve, from disk.
    pub(super) provisional_since: Option<Instant>,
    /// Cancelled once this process serves.
    pub(super) serving: CancellationToken,
    /// Ends this process once another one serves.
    pub(super) stop: CancellationToken,
}

impl Succession {
    /// Whether the sockets are still the predecessor's.
    pub(super) fn is_waiting(&self) -> bool {
        self.predecessor.is_some()
    }

    /// Whether what this process would serve is as good as what the predecessor serves.
    pub(super) fn is_due(&self) -> bool {
        let is_confirmed = !self.status.borrow().provisional;
        // What has no private keys is never as good.
        let has_keys =
            (self.shared.config.cache.as_ref()).is_some_and(|cache| cache.secrets.is_some());
        let is_over =
            |since: Instant| is_confirmed || has_keys && since.elapsed() > CONFIRMED_WITHIN;
        self.provisional_since.is_some_and(is_over)
    }

    /// Takes the predecessor's sockets, if this commit is good enough to serve.
    pub(super) async fn meet(&mut self, commit: &Commit, installer: &mut Installer) {
        let Some(predecessor) = &self.predecessor else {
            return;
        };
        if commit.provisional() && !self.is_due() {
            self.provisional_since.get_or_insert_with(Instant::now);
            return;
        }
        let given = timeout(GIVEN_WITHIN, predecessor.sockets()).await;
        let mut sockets = match given.map_err(Into::into).flatten() {
            Ok(sockets) => sockets,
            Err(error) => {
                warn!(%error, "the ingress before this one gives no sockets; they are bound when it has ended");
                self.predecessor = None;
                Vec::new()
            }
        };
        let wanted = self.shared.config.admin_listen;
        let is_admin = |socket: &mut TcpListener| socket.local_addr().ok() == wanted;
        self.given_admin = sockets.extract_if(.., is_admin).next();
        if self.given_admin.is_none() {
            self.admin = None;
        }
        info!(sockets = sockets.len(), "taking over");
        installer.inherit(sockets);
    }

    /// This process serves: the predecessor may go, and successors may come.
    pub(super) async fn serve(&mut self, installer: &mut Installer) {
        if self.serving.is_cancelled() || installer.is_heir() {
            return;
        }
        installer.close_unwanted();
        if let Some((give, admin)) = self.admin.take().zip(self.given_admin.take()) {
            self.holders.admin = admin.try_clone().ok();
            // An admin server that has its socket already needs no other.
            drop(give.send(admin));
        }
        if let Some(path) = &self.path {
            match takeover::listen(path) {
                Ok(listener) => {
                    let holders = std::mem::take(&mut self.holders);
                    let (shared, stop) = (Arc::clone(&self.shared), self.stop.clone());
                    tokio::spawn(async move {
                        let serve = takeover::serve(listener, holders);
                        if stop.run_until_cancelled(serve).await.is_some() {
                            shared.is_relieved.store(true, Ordering::Relaxed);
                            stop.cancel();
                        }
                    });
                }
                Err(error) => {
                    let path = path.display();
                    warn!(%error, %path, "nobody can take over from this ingress");
                }
            }
        }
        if let Some(predecessor) = self.predecessor.take()
            && let Err(error) = predecessor.relieve().await
        {
            warn!(%error, "the ingress before this one has ended already");
        }
        self.serving.cancel();
    }
}

/// The admin server's socket: this process's own, else the one that the predecessor gives, else once more its own.
pub(super) async fn admin_socket(
    address: SocketAddr,
    bound: Option<tokio::net::TcpListener>,
    given: oneshot::Receiver<TcpListener>,
) -> Result<tokio::net::TcpListener, ListenError> {
    if let Some(bound) = bound {
        return Ok(bound);
    }
    let what = super::ADMIN;
    match given.await {
        Ok(socket) => tokio::net::TcpListener::from_std(socket)
            .map_err(|error| ListenError::new(what, address, error)),
        Err(_) => listen::tcp(address, what).await,
    }
}

/// Once more.
pub(super) fn copy(socket: &tokio::net::TcpListener) -> Option<TcpListener> {
    socket.as_fd().try_clone_to_owned().ok().map(Into::into)
}

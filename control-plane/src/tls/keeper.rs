//! Keeps what the server shows fresh: carries out what the plan says, signs, and reads given files again.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use meshlite_kubernetes::Written;
use meshlite_proto::connect::{self, Ca, Credentials};
use meshlite_runtime::{backoff::Backoff, readiness::ReadyToken};
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    authority::{AuthorityError, Serving},
    held::{Held, pem_of},
    names::names,
    plan::{Step, step},
    server::{FileError, Material, ServerError, Shown, config, read, read_certificates},
    store::{Store, StoreError},
};
use crate::{ServerCertificate, TlsConfig, clock};

/// How often one looks whether something is due.
const LOOK: Duration = Duration::from_secs(10);
/// After a failure, from this to that.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// How often replicas may get in each other's way in one turn.
const STEPS: usize = 16;

/// The one writer of what the server shows.
#[derive(Debug)]
pub(crate) struct Keeper {
    source: Source,
    client_ca: Option<PathBuf>,
    /// What is shown, and whose client certificates are taken with it.
    current: Option<(Material, Option<Vec<CertificateDer<'static>>>)>,
    shown: watch::Sender<Option<Arc<ServerConfig>>>,
    /// What callers of our own kind trust, and how they are told.
    trusted: Vec<u8>,
    to_peers: watch::Sender<connect::Security>,
    credentials: Credentials,
}

#[derive(Debug)]
enum Source {
    Own(Box<Own>),
    Given { certificate: PathBuf, key: PathBuf },
}

/// A CA of our own, and what it signed for us.
#[derive(Debug)]
struct Own {
    store: Store,
    further: Vec<String>,
    held: Held,
    serving: Option<Serving>,
}

/// Why there is nothing new to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// A given file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The place where our CA is kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Our CA.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// What would be shown.
    #[error(transparent)]
    Server(#[from] ServerError),
}

impl Keeper {
    /// Shows nothing until it looks. The last of the result is how other replicas are called with these `credentials`.
    pub(crate) fn new(
        tls: &TlsConfig,
        store: Store,
        credentials: Credentials,
    ) -> (Self, Shown, watch::Receiver<connect::Security>) {
        let (shown, receiver) = watch::channel(None);
        // Nobody is trusted before something is shown.
        let nobody = security(Vec::new(), &credentials);
        let (to_peers, of_peers) = watch::channel(nobody);
        let source = match tls.certificate.clone() {
            ServerCertificate::SelfManaged { names } => Source::Own(Box::new(Own {
                store,
                further: names,
                held: Held::default(),
                serving: None,
            })),
            ServerCertificate::Files { certificate, key } => Source::Given { certificate, key },
        };
        let keeper = Self {
            source,
            client_ca: tls.client_ca.clone(),
            current: None,
            shown,
            trusted: Vec::new(),
            to_peers,
            credentials,
        };
        (keeper, receiver, of_peers)
    }

    /// Looks again and again, until `stop`. `ready` once there is something to show.
    pub(crate) async fn run(mut self, ready: ReadyToken, stop: CancellationToken) {
        let mut ready = Some(ready);
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let wait = match self.look(clock::wall()).await {
                Ok(()) => {
                    backoff.reset();
                    drop(ready.take());
                    LOOK
                }
                Err(error) => {
                    if ready.is_some() {
                        warn!(%error, "there is no certificate; nobody can connect before there is one");
                    } else {
                        warn!(%error, "the certificate could not be looked after; what is shown stays");
                    }
                    backoff.next()
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Does what is due.
    pub(crate) async fn look(&mut self, now: SystemTime) -> Result<(), KeepError> {
        let authorities = self.client_ca.as_deref().map(read_certificates);
        let authorities = authorities.transpose()?;
        let material = match &mut self.source {
            Source::Own(own) => own.look(now).await?,
            Source::Given { certificate, key } => read(certificate, key)?,
        };
        self.trust(now, &material);
        let now_shown = (material, authorities);
        if self.current.as_ref() == Some(&now_shown) {
            return Ok(());
        }
        let config = config(now_shown.0.clone(), now_shown.1.as_deref())?;
        info!("certificate in use");
        self.shown.send_replace(Some(Arc::new(config)));
        self.current = Some(now_shown);
        Ok(())
    }

    /// Tells callers of our own kind whom to trust: our CAs, or the chain that was given to all replicas.
    fn trust(&mut self, now: SystemTime, material: &Material) {
        let trusted = match &self.source {
            Source::Own(own) => own.held.bundle(now),
            Source::Given { .. } => pem_of(&material.chain),
        };
        if self.trusted != trusted.as_bytes() {
            self.trusted = trusted.into_bytes();
            let security = security(self.trusted.clone(), &self.credentials);
            self.to_peers.send_replace(security);
        }
    }
}

fn security(trusted: Vec<u8>, credentials: &Credentials) -> connect::Security {
    connect::Security::Tls(connect::Tls::new(Ca::Pem(trusted), credentials.clone()))
}

impl Own {
    async fn look(&mut self, now: SystemTime) -> Result<Material, KeepError> {
        // With the store gone, what was read of it is still good to sign with.
        if let Err(error) = self.tend(now).await {
            if self.held.signer().is_none() {
                return Err(error);
            }
            warn!(%error, "our CA could not be looked after; the one that is known stays");
        }
        self.sign(now)
    }

    /// Takes the steps that are due, together with the other replicas.
    async fn tend(&mut self, now: SystemTime) -> Result<(), KeepError> {
        for _ in 0..STEPS {
            let loaded = self.store.load(&self.held, now).await?;
            let step = step(now, &loaded.held.situation(&loaded.published, now));
            if step == Step::Wait {
                self.held = loaded.held;
                return Ok(());
            }
            let after = loaded.held.after(step, now)?;
            match self.store.save(step, &after, &loaded, now).await? {
                Written::Yes => {
                    info!(?step, "our CA moved on");
                    self.held = after;
                }
                // Another replica did the same: see what it made.
                Written::Conflict => {}
            }
        }
        Err(StoreError::Contended.into())
    }

    /// What is shown: signed anew where it is due, or the CA or our names are others.
    fn sign(&mut self, now: SystemTime) -> Result<Material, KeepError> {
        let names = names(&self.further)?;
        let (authority, key) = self.held.signer().ok_or(StoreError::NoSigner)?;
        let serving = match self.serving.take() {
            Some(serving)
                if serving.signer == authority.der
                    && serving.names == names
                    && !serving.lifetime.is_due(now) =>
            {
                serving
            }
            _ => authority.sign(key, names, now)?,
        };
        let material = serving.material.clone();
        self.serving = Some(serving);
        Ok(material)
    }
}

#[cfg(test)]
mod tests;

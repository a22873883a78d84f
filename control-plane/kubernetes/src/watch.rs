//! Lists and watches: what becomes of the objects of an API server, as changes for the compiler.
//!
//! ```text
//!                ┌─> stream of a kind ─> reflector ─┬─> changes ──────────────┐
//! API server ═══>┤   (each kind, each namespace)    └─> Secrets that changed ┐├─> updates ─> pipeline
//!                └─> the Secrets that are wanted, one by one <───────────────┘┘      wanted <─┘
//! ```

mod api;
mod backoff;
mod kind;
mod known;
mod lines;
mod reflector;
mod secrets;
mod stream;
mod wire;

use std::{collections::BTreeSet, fmt, sync::Arc, time::SystemTime};

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use meshlite_compile::{Change, ObjectKey};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use self::{api::Api, secrets::Fetcher, stream::Follower};
pub use self::{kind::Kind, known::Identity, stream::Stream};

/// How many updates wait for the pipeline before streams wait too, and with them the API server.
const WAITING: usize = 256;

/// What came of the API server.
#[derive(Clone, Debug)]
pub enum Update {
    /// Of a stream.
    Objects(Objects),
    /// Of a Secret that was wanted.
    Secret(ObjectKey, Answer),
}

/// What came of a stream.
#[derive(Clone, Debug)]
pub struct Objects {
    /// Which one: its place in [`Feed::streams`].
    pub stream: usize,
    /// What became of objects; all of them in the end, before there is a watermark.
    pub changes: Vec<Change>,
    /// Up to which version everything was handed on, and whose versions these are (the UID of the Namespace
    /// `kube-system`; empty where that may not be read). None before the first list is complete.
    pub watermark: Option<(u64, Arc<str>)>,
    /// When the oldest of these changes happened, where its controller says so.
    pub triggered: Option<SystemTime>,
}

/// What the API server says of a Secret.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Here it is.
    Found(Arc<Secret>),
    /// There is none.
    Missing,
    /// It may not be read, and why.
    Forbidden(String),
    /// It is not wanted any longer: nobody should keep it.
    Unwanted,
}

/// What a pipeline has of a [`Watch`].
#[derive(Debug)]
pub struct Feed {
    /// What is followed.
    pub streams: Arc<[Stream]>,
    /// What comes of it.
    pub updates: mpsc::Receiver<Update>,
    /// Which Secrets are wanted.
    pub wanted: watch::Sender<BTreeSet<ObjectKey>>,
}

/// Follows an API server.
pub struct Watch {
    client: Client,
    streams: Arc<[Stream]>,
    updates: mpsc::Sender<Update>,
    wanted: watch::Receiver<BTreeSet<ObjectKey>>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

impl Watch {
    /// A watch of these namespaces, or of all where there are none, and of the Secrets in further ones. Nothing is asked
    /// before [`Watch::run`].
    pub fn new(
        client: Client,
        namespaces: &BTreeSet<String>,
        secrets_in: &BTreeSet<String>,
    ) -> (Self, Feed) {
        let mut streams = Vec::new();
        for kind in Kind::ALL {
            if !kind.is_namespaced() || namespaces.is_empty() {
                streams.push(Stream::new(kind, None));
                continue;
            }
            let mut of_kind = namespaces.clone();
            if kind == Kind::Secret {
                of_kind.extend(secrets_in.iter().cloned());
            }
            let each = of_kind.into_iter();
            streams.extend(each.map(|name| Stream::new(kind, Some(name.into()))));
        }
        let streams: Arc<[_]> = streams.into();
        let (sender, updates) = mpsc::channel(WAITING);
        let (want, wanted) = watch::channel(BTreeSet::new());
        let watch = Self {
            client,
            streams: Arc::clone(&streams),
            updates: sender,
            wanted,
        };
        let feed = Feed {
            streams,
            updates,
            wanted: want,
        };
        (watch, feed)
    }

    /// Follows until `stop`, or until nobody takes what comes.
    pub async fn run(self, stop: CancellationToken) -> Result<(), JoinError> {
        let Self {
            client,
            streams,
            updates,
            wanted,
        } = self;
        let api = Api(client);
        let (touch, touched) = mpsc::channel(WAITING);
        let mut tasks = JoinSet::new();
        for (index, stream) in streams.iter().enumerate() {
            let follower = Follower {
                api: api.clone(),
                index,
                stream: stream.clone(),
                updates: updates.clone(),
                touched: (stream.kind == Kind::Secret).then(|| touch.clone()),
            };
            tasks.spawn(follower.run());
        }
        let fetcher = Fetcher {
            api,
            wanted,
            touched,
            updates,
        };
        tasks.spawn(fetcher.run());
        let ended = tokio::select! {
            ended = tasks.join_next() => ended,
            () = stop.cancelled() => None,
        };
        tasks.shutdown().await;
        ended.transpose().map(|_| ())
    }
}

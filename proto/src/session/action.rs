//! What a session asks of its caller, and what the caller answers.

use std::time::SystemTime;

use meshlite_snapshot::{Name, Snapshot, Topic};

use super::{Change, Fault, RejectReason, SILENCE};
use crate::v1;

/// What the caller has to do.
#[derive(Debug)]
pub enum Action {
    /// Send this on the stream.
    Send(v1::DiscoveryRequest),
    /// Give this to the plane, then call [`super::Session::installed`] or [`super::Session::abandoned`].
    Deliver(Box<Delivery>),
    /// Close the stream, which is over for the session, and connect again.
    Reconnect(Reconnect),
}

/// A whole, proved state and what differs from the one that is installed.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its generation.
    pub generation: u64,
    /// What is installed.
    pub before: Snapshot,
    /// What is to be installed.
    pub snapshot: Snapshot,
    /// The difference.
    pub changes: Vec<Change>,
    /// When the oldest change in it happened at its source; none where the server does not say, as on a full commit.
    pub oldest_change: Option<SystemTime>,
    /// It comes from disk, and no server has confirmed it yet.
    pub provisional: bool,
}

/// What the plane made of a [`Delivery`].
#[derive(Clone, Debug)]
pub struct Installed {
    /// What is installed now.
    pub snapshot: Snapshot,
    /// What of the delivery is not in it.
    pub rejected: Vec<Rejected>,
}

/// A resource that the plane did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in Rejection")]
pub struct Rejected {
    pub topic: Topic,
    pub name: Name,
    pub reason: RejectReason,
    pub message: String,
}

/// Why a stream is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reconnect {
    /// The server broke the protocol.
    #[error("the control plane broke the protocol: {0}")]
    Fault(#[from] Fault),
    /// The server is gone or hangs.
    #[error("the control plane said nothing for {} s", SILENCE.as_secs())]
    Silent,
    /// A full commit was asked for and did not come.
    #[error("the control plane did not send the full snapshot it was asked for")]
    NoFull,
    /// The server asked for it.
    #[error("the control plane asked to connect again: {0}")]
    Drained(String),
    /// The plane dropped a commit.
    #[error("the data plane did not install a commit")]
    NotInstalled,
    /// Another replica may have something better than a commit that is held back.
    #[error("looking for another control plane, because a commit is held back")]
    Confirm,
}

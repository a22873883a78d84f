//! What is known of a connection before its first request.

use std::{net::SocketAddr, sync::Arc};

use super::{Caller, refusal::Refusal};

/// The other end of a connection; in the extensions of each of its requests.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) addr: SocketAddr,
    /// It speaks no TLS, on a port that does.
    pub(crate) is_plaintext: bool,
    /// Whom its certificate is of, where it showed one.
    pub(crate) certificate: Option<Arc<Result<Caller, Refusal>>>,
}

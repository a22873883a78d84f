//! Who calls, and what they may do: put into a request's extensions before any service sees it.

mod certificate;
mod failures;
mod layer;
mod peer;
mod refusal;
#[cfg(test)]
pub(crate) mod testing;
mod token;
mod tokens;
mod verified;

use std::{sync::Arc, time::SystemTime};

use tonic::{Request, Status};

pub(crate) use self::{
    certificate::caller as certified,
    layer::{Access, Authenticator},
    peer::Peer,
    tokens::Tokens,
};

/// Whoever makes a request, as their credentials say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// `system:serviceaccount:meshlite:meshlite-node`, a certificate's common name, or `anyone`.
    pub(crate) name: Arc<str>,
    /// What the caller may do.
    pub(crate) rights: Rights,
    /// The node that the credentials are bound to: the caller may claim to be no other.
    pub(crate) node: Option<Arc<str>>,
    /// When the credentials end. A stream ends by Drain a little before.
    pub(crate) expires: Option<SystemTime>,
}

/// What a caller may do. Nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four rights, each given by itself"
)]
pub(crate) struct Rights {
    /// Subscribe as a node.
    pub(crate) node: bool,
    /// Subscribe as an ingress, and have private keys.
    pub(crate) ingress: bool,
    /// Ask for status, and for resources without private keys.
    pub(crate) read: bool,
    /// Ask what another replica needs to know.
    pub(crate) replica: bool,
}

impl Caller {
    /// Who makes this request. None is known where the layer is missing: a mistake of ours, which must not let anybody in.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let caller = request.extensions().get::<Self>().cloned();
        caller.ok_or_else(|| Status::internal("the request came without a checked caller"))
    }

    /// Anybody at all, with every right: who calls a server that was told to be insecure.
    pub(crate) fn anyone() -> Self {
        Self {
            name: "anyone".into(),
            rights: Rights {
                node: true,
                ingress: true,
                read: true,
                replica: true,
            },
            node: None,
            expires: None,
        }
    }
}

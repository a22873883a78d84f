//! Who calls, and what they may do: put into a request's extensions before any service sees it.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use tonic::{Request, Status};
use tower::{Layer, Service};

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

/// What stands before the services. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Gate {}

impl Gate {
    /// Plaintext, and everybody may do everything.
    pub(crate) fn open() -> Self {
        Self {}
    }

    /// Says of each request who makes it.
    pub(crate) fn callers(&self) -> CallersLayer {
        CallersLayer(self.clone())
    }
}

/// Makes [`Callers`].
#[derive(Clone, Debug)]
pub(crate) struct CallersLayer(Gate);

/// Puts a [`Caller`] into each request.
#[derive(Clone, Debug)]
pub(crate) struct Callers<S> {
    inner: S,
}

impl<S> Layer<S> for CallersLayer {
    type Service = Callers<S>;

    fn layer(&self, inner: S) -> Callers<S> {
        Callers { inner }
    }
}

impl<S: Service<http::Request<B>>, B> Service<http::Request<B>> for Callers<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> S::Future {
        request.extensions_mut().insert(Caller::anyone());
        self.inner.call(request)
    }
}

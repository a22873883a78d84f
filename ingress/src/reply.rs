//! An answer on its way to a client: what an endpoint says stays as it came until somebody wants to read or change it.

use http::{Response, StatusCode, Version, header, response::Parts};

use crate::{http1::Heard, respond::SERVER, sanitise};

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply<B> {
    pub(crate) head: Head,
    pub(crate) body: B,
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) enum Head {
    AsCame(Heard),
    /// As the client gets it.
    Read(Parts),
}

impl<B> Reply<B> {
    /// From an endpoint, by HTTP/1.
    pub(crate) fn as_came(heard: Heard, body: B) -> Self {
        Self {
            head: Head::AsCame(heard),
            body,
        }
    }

    /// From an endpoint, by HTTP/2.
    pub(crate) fn read(response: Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            head: Head::Read(end_to_end(parts)),
            body,
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.head.status()
    }

    /// The same answer, its head read.
    pub(crate) fn into_response(self) -> Response<B> {
        Response::from_parts(self.head.into_parts(), self.body)
    }

    /// The same answer with a body made of this one's.
    pub(crate) fn map<C>(self, change: impl FnOnce(B) -> C) -> Reply<C> {
        Reply {
            head: self.head,
            body: change(self.body),
        }
    }
}

impl<B> From<Response<B>> for Reply<B> {
    fn from(response: Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            head: Head::Read(parts),
            body,
        }
    }
}

impl Head {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::AsCame(heard) => heard.status,
            Self::Read(parts) => parts.status,
        }
    }

    /// What of it concerns the client.
    pub(crate) fn into_parts(self) -> Parts {
        match self {
            Self::AsCame(heard) => end_to_end(heard.into_parts()),
            Self::Read(parts) => parts,
        }
    }
}

/// What of an endpoint's head concerns the client.
fn end_to_end(mut parts: Parts) -> Parts {
    // Each connection says its own version.
    parts.version = Version::HTTP_11;
    sanitise::strip_hop_by_hop(&mut parts.headers);
    parts.headers.entry(header::SERVER).or_insert(SERVER);
    parts
}

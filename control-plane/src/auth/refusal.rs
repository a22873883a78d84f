//! Why a caller is not let in, and what they are told.

use std::time::SystemTime;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tonic::Status;

/// Why a caller is not let in. The messages hold no secret, and of what the caller sent only short excerpts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Neither a token nor a certificate.
    #[error(
        "no credentials: send `authorization: Bearer TOKEN` with the token of a service account, or a client certificate"
    )]
    NoCredentials,
    /// What should be secret came in the clear.
    #[error("plaintext: this port speaks TLS; use https:// and the CA of this control plane")]
    Plaintext,
    /// No JWT of the kind that an API server makes.
    #[error("bad token: {0}")]
    Malformed(&'static str),
    /// A key that is not the API server's, or no more.
    #[error("bad token: it is signed by an unknown key ({}), none of this cluster's API server", short(.0))]
    UnknownKey(String),
    /// Somebody changed it.
    #[error("bad token: its signature is wrong")]
    Signature,
    /// Another cluster's.
    #[error("bad token: its issuer is {}, this cluster's is {wanted:?}", short(is))]
    Issuer {
        /// Of the token.
        is: String,
        /// Of the API server.
        wanted: String,
    },
    /// Made for another service.
    #[error("the token's audience is {}, it needs {wanted:?}", short(is))]
    Audience {
        /// Those of the token.
        is: String,
        /// Ours.
        wanted: String,
    },
    /// Too old.
    #[error("the {what} is expired since {}", shown(*since))]
    Expired {
        /// Token or certificate.
        what: &'static str,
        /// Its end.
        since: SystemTime,
    },
    /// Too new.
    #[error("bad token: it is not valid before {}", shown(*.0))]
    NotYet(SystemTime),
    /// The API server takes it no more: its Pod, node or account is gone.
    #[error("bad token: the API server says that it is revoked")]
    Revoked,
    /// A client certificate that gives no right.
    #[error("bad certificate: {0}")]
    Certificate(&'static str),
    /// An account that may do nothing here.
    #[error("{0:.256} may do nothing here: none of this control plane's accounts")]
    NoRights(String),
    /// A token that could act as any node.
    #[error(
        "{0:.256} is a node's account, but the token is bound to no node; use the projected token of a Pod"
    )]
    Unbound(String),
    /// Too many mistakes from the same address.
    #[error("too many refused calls from your address; try again in a second")]
    Rate,
    /// We cannot tell yet.
    #[error("the API server's keys were not read yet; try again")]
    NoKeys,
    /// We cannot tell at all.
    #[error("this control plane takes no tokens; use a client certificate")]
    NoTokens,
}

impl Refusal {
    /// The label of the metric.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::NoCredentials => "no_credentials",
            Self::Plaintext => "plaintext",
            Self::Malformed(_)
            | Self::UnknownKey(_)
            | Self::Signature
            | Self::Issuer { .. }
            | Self::NotYet(_)
            | Self::NoTokens => "bad_token",
            Self::Certificate(_) => "bad_certificate",
            Self::Revoked => "revoked",
            Self::Audience { .. } => "audience",
            Self::Expired { .. } => "expired",
            Self::NoRights(_) => "role",
            Self::Unbound(_) => "node",
            Self::Rate => "rate",
            Self::NoKeys => "no_keys",
        }
    }
}

impl From<&Refusal> for Status {
    fn from(refusal: &Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::NoRights(_) | Refusal::Unbound(_) => Self::permission_denied(message),
            Refusal::Rate => Self::resource_exhausted(message),
            Refusal::NoKeys => Self::unavailable(message),
            _ => Self::unauthenticated(message),
        }
    }
}

fn shown(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    time.format(&Rfc3339)
        .unwrap_or_else(|_out_of_range| "a time that has no name".to_owned())
}

/// An excerpt of what a caller sent, quoted.
fn short(text: &str) -> String {
    let start: String = text.chars().take(128).collect();
    format!("{start:?}")
}

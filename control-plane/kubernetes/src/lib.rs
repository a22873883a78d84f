//! What Meshlite reads from and writes to a Kubernetes API server.
//!
//! ```text
//! API server ─> watch ─> trim ─> changes for the compiler
//!      ^──────── lease, Events, status <─ what is found and served
//! ```

mod causes;
mod connect;
mod events;
mod ingress_status;
mod ingresses;
mod lease;
mod programmed;
mod status_api;
mod tokens;
mod trim;
mod trust;
mod watch;

pub use causes::causes;
pub use connect::{ConnectError, Connection};
pub use events::{EventBook, Events, Notice, Posted, Subject};
pub use ingress_status::{Address, IngressChange, IngressState};
pub use ingresses::ingresses;
pub use k8s_openapi::{
    api::{core::v1::Service, networking::v1::Ingress},
    jiff::Timestamp,
};
pub use kube::{Client, Error};
pub use lease::{Candidate, Leadership};
pub use programmed::{Programmed, ServiceState};
pub use status_api::{IngressApi, ServiceApi, StatusApi, StatusObject, WriteError};
pub use tokens::{TokenIssuer, TokenVerdict, review_token, token_issuer};
pub use trust::{Stored, Trust, TrustStore, Written};
pub use watch::{Answer, Feed, Identity, Kind, Objects, Stream, Update, Watch};

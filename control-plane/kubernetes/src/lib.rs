//! What Meshlite reads from and writes to a Kubernetes API server.
//!
//! ```text
//! API server ─> watch ─> trim ─> changes for the compiler
//!      ^──────── lease, Events, status <─ what is found and served
//! ```

mod connect;
mod lease;
mod trim;
mod watch;

pub use connect::{ConnectError, Connection};
pub use kube::Client;
pub use lease::{Candidate, Leadership};
pub use watch::{Answer, Feed, Identity, Kind, Objects, Stream, Update, Watch};

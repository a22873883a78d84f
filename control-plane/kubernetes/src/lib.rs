//! What Meshlite reads from and writes to a Kubernetes API server.

mod connect;
mod lease;

pub use connect::{ConnectError, Connection};
pub use kube::Client;
pub use lease::{Candidate, Leadership};

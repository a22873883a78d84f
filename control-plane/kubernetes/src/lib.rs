//! What Meshlite reads from and writes to a Kubernetes API server.

mod connect;

pub use connect::{ConnectError, Connection};

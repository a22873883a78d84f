//! How many sockets this process may have: a proxy needs two for each connection.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{debug, info};

/// Raises the limit of open files to what this user may have. Many systems start services with 1,024.
pub fn raise_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
            info!(from = soft, to = hard, "limit of open files raised");
        }
        Ok(())
    });
    if let Err(error) = raised {
        debug!(%error, "limit of open files is left as it is");
    }
}

//! What `meshlite migrate` reads.

use std::path::PathBuf;

use meshlite_kubernetes::Connection;

use super::{ConfigError, Problems, ask::format};
use crate::{args::MigrateArgs, output::Format};

/// What `meshlite migrate` reads, and how it prints.
#[derive(Debug)]
pub(crate) struct MigrateConfig {
    pub(crate) source: MigrateSource,
    pub(crate) nginx_compat: bool,
    pub(crate) format: Format,
}

/// Where the Ingresses are.
#[derive(Debug)]
pub(crate) enum MigrateSource {
    /// In these files; `-` is standard input.
    Files(Vec<PathBuf>),
    /// In a cluster.
    Cluster(Connection),
}

/// Checks all of it.
pub(crate) fn migrate(args: MigrateArgs) -> Result<MigrateConfig, ConfigError> {
    let MigrateArgs {
        files,
        cluster,
        kubeconfig,
        nginx_compat,
        output,
    } = args;
    let mut problems = Problems::default();
    let format = format(&output, &mut problems);
    let source = if cluster {
        MigrateSource::Cluster(Connection {
            kubeconfig,
            api_server: None,
        })
    } else {
        MigrateSource::Files(files)
    };
    let config = format.map(|format| MigrateConfig {
        source,
        nginx_compat,
        format,
    });
    problems.or(config)
}

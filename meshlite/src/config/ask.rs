//! What `get`, `status`, `diff` and `explain` ask, whom, and how they print it.

use std::net::IpAddr;

use meshlite_compile::Settings;
use meshlite_control_plane::SourceConfig;
use meshlite_proto::installed::Filter;

use super::{
    ConfigError, Problems,
    cluster::cluster_of,
    connect::{Reach, reach},
};
use crate::{
    args::{
        DiffArgs, ExplainArgs, GetArgs, GetSnapshotArgs, NodeUrlArgs, OutputArgs, SetsArgs,
        StatusArgs, WatchArgs,
    },
    explain::escape,
    output::Format,
};

/// Where `get snapshot` reads from, and how it prints.
#[derive(Debug)]
pub(crate) struct GetSnapshotConfig {
    pub(crate) source: SnapshotSource,
    pub(crate) format: Format,
    pub(crate) is_watch: bool,
}

#[derive(Debug)]
pub(crate) enum SnapshotSource {
    Asked(GetSource),
    Manifests(SourceConfig, Settings),
}

/// Who is asked for resources.
#[derive(Debug)]
pub(crate) enum GetSource {
    ControlPlane(Reach),
    /// The admin server of a node or ingress.
    DataPlane(String),
}

/// What `get services` and its like print.
#[derive(Debug)]
pub(crate) struct GetConfig {
    pub(crate) source: GetSource,
    pub(crate) filter: Filter,
    pub(crate) format: Format,
    pub(crate) is_watch: bool,
}

#[derive(Debug)]
pub(crate) struct StatusConfig {
    pub(crate) reach: Reach,
    pub(crate) format: Format,
    pub(crate) is_watch: bool,
}

#[derive(Debug)]
pub(crate) struct DiffConfig {
    pub(crate) reach: Reach,
    pub(crate) client: String,
    pub(crate) format: Format,
}

/// Which ingress `meshlite explain` asks what, and how it prints.
#[derive(Debug)]
pub(crate) struct ExplainConfig {
    pub(crate) ingress: String,
    /// The query of the question.
    pub(crate) query: String,
    pub(crate) format: Format,
}

/// Which node `meshlite node sets` asks, and how it prints.
#[derive(Debug)]
pub(crate) struct SetsConfig {
    pub(crate) url: String,
    pub(crate) format: Format,
}

/// What `meshlite get snapshot` prints.
pub(crate) fn get_snapshot(args: GetSnapshotArgs) -> Result<GetSnapshotConfig, ConfigError> {
    let GetSnapshotArgs {
        connect,
        node,
        manifests,
        state_dir,
        cluster,
        output,
        watch: WatchArgs { watch: is_watch },
    } = args;
    let mut problems = Problems::default();
    let format = format(&output, &mut problems);
    let source = match manifests {
        None => source(node, connect, &mut problems).map(SnapshotSource::Asked),
        Some(manifests) => {
            let manifests = problems.existing("manifests", manifests);
            let cluster = cluster_of(&cluster, &mut problems);
            manifests
                .zip(cluster)
                .map(|(manifests, (admit, settings))| {
                    let source = SourceConfig::Files {
                        manifests,
                        state_dir,
                        admit,
                        pods: None,
                    };
                    SnapshotSource::Manifests(source, settings)
                })
        }
    };
    let config = source
        .zip(format)
        .map(|(source, format)| GetSnapshotConfig {
            source,
            format,
            is_watch,
        });
    problems.or(config)
}

/// What `meshlite get services` and its like print.
pub(crate) fn get(args: GetArgs) -> Result<GetConfig, ConfigError> {
    let GetArgs {
        name,
        namespace,
        output,
        watch: WatchArgs { watch: is_watch },
        node,
        connect,
    } = args;
    let mut problems = Problems::default();
    let format = format(&output, &mut problems);
    let source = source(node, connect, &mut problems);
    let filter = Filter { namespace, name };
    let config = source.zip(format).map(|(source, format)| GetConfig {
        source,
        filter,
        format,
        is_watch,
    });
    problems.or(config)
}

/// What `meshlite status` asks.
pub(crate) fn status(args: StatusArgs) -> Result<StatusConfig, ConfigError> {
    let StatusArgs {
        output,
        watch: WatchArgs { watch: is_watch },
        connect,
    } = args;
    let mut problems = Problems::default();
    let format = format(&output, &mut problems);
    let config = reach(connect, &mut problems)
        .zip(format)
        .map(|(reach, format)| StatusConfig {
            reach,
            format,
            is_watch,
        });
    problems.or(config)
}

/// What `meshlite diff` asks.
pub(crate) fn diff(args: DiffArgs) -> Result<DiffConfig, ConfigError> {
    let DiffArgs {
        client,
        output,
        connect,
    } = args;
    let mut problems = Problems::default();
    let format = format(&output, &mut problems);
    let config = reach(connect, &mut problems)
        .zip(format)
        .map(|(reach, format)| DiffConfig {
            reach,
            client,
            format,
        });
    problems.or(config)
}

/// What `meshlite explain` asks.
pub(crate) fn explain(args: ExplainArgs) -> Result<ExplainConfig, ConfigError> {
    let ExplainArgs {
        url,
        method,
        header,
        client,
        ingress,
        output,
    } = args;
    let mut problems = Problems::default();
    let format = format(&output, &mut problems);
    let client = match client {
        Some(client) => problems
            .parse::<IpAddr>("client", &client, "an IP address")
            .map(|client| ("client", client.to_string())),
        None => None,
    };
    let asked = [("url", url), ("method", method)].into_iter().chain(client);
    let asked = asked.chain(header.into_iter().map(|header| ("header", header)));
    let pairs: Vec<_> = asked
        .map(|(name, value)| format!("{name}={}", escape(&value)))
        .collect();
    let config = problems.admin_url("ingress", &ingress).zip(format);
    problems.or(config.map(|(ingress, format)| ExplainConfig {
        ingress,
        query: pairs.join("&"),
        format,
    }))
}

/// What `meshlite node sets` asks.
pub(crate) fn sets(args: SetsArgs) -> Result<SetsConfig, ConfigError> {
    let SetsArgs {
        output,
        node: NodeUrlArgs { node },
    } = args;
    let mut problems = Problems::default();
    let format = format(&output, &mut problems);
    let url = node.unwrap_or_else(|| "http://127.0.0.1:10249".to_owned());
    let config = problems.admin_url("node", &url).zip(format);
    problems.or(config.map(|(url, format)| SetsConfig { url, format }))
}

fn source(
    node: NodeUrlArgs,
    connect: crate::args::ConnectArgs,
    problems: &mut Problems,
) -> Option<GetSource> {
    match node.node {
        Some(url) => problems.admin_url("node", &url).map(GetSource::DataPlane),
        None => reach(connect, problems).map(GetSource::ControlPlane),
    }
}

pub(super) fn format(args: &OutputArgs, problems: &mut Problems) -> Option<Format> {
    let OutputArgs { output } = args;
    let format = match output.as_str() {
        "table" => Some(Format::Text),
        "wide" => Some(Format::Wide),
        other => Format::structured(other),
    };
    if format.is_none() {
        problems.add(
            "output",
            format_args!("`{output}` is not table, wide, yaml or json"),
        );
    }
    format
}

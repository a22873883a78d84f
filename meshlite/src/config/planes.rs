//! Arguments of the data planes to their configuration.

use std::path::PathBuf;

use meshlite_ingress::{AccessLogFormat, Sampler, Tracing};
use meshlite_proto::cache::Cache;

use super::{
    ConfigError, Problems,
    connect::{Reach, reach},
    control_plane::control_plane_of,
    node::{NodeConfig, node_of},
};
use crate::args::{
    IngressArgs, IngressCommand, NodeArgs, NodeCommand, NodeNameArgs, StandaloneCommand,
};

/// The three planes in one process. The data planes follow the control plane beside them.
#[derive(Debug)]
pub(crate) struct StandaloneConfig {
    pub(crate) control_plane: meshlite_control_plane::Config,
    pub(crate) node: NodeConfig,
    pub(crate) ingress: meshlite_ingress::Config,
}

/// What `meshlite node` runs.
pub(crate) fn node(args: NodeCommand) -> Result<NodeConfig, ConfigError> {
    let NodeCommand {
        action: _,
        connect,
        name,
        node,
        state_dir,
        dry_run,
    } = args;
    let mut problems = Problems::default();
    let reach = reach(connect, &mut problems);
    let NodeConfig { node, remarks } = node_of(name, node, &mut problems);
    let config = reach.map(|reach| {
        let Reach {
            control_planes,
            security,
        } = reach;
        let cache = state_dir.map(|folder| Cache {
            folder: folder.join("node"),
            secrets: None,
        });
        let node = meshlite_node::Config {
            control_plane: control_planes,
            security,
            // A dry run leaves this host alone.
            cache: cache.filter(|_| !dry_run),
            dry_run,
            ..node
        };
        NodeConfig { node, remarks }
    });
    problems.or(config)
}

/// What `meshlite node init` sets up.
pub(crate) fn node_init(args: NodeArgs) -> Result<NodeConfig, ConfigError> {
    let mut problems = Problems::default();
    let config = node_of(NodeNameArgs { node_name: None }, args, &mut problems);
    problems.or(Some(config))
}

/// What `meshlite ingress` runs.
pub(crate) fn ingress(args: IngressCommand) -> Result<meshlite_ingress::Config, ConfigError> {
    let IngressCommand {
        connect,
        name: NodeNameArgs { node_name },
        ingress,
        state_dir,
        secrets_dir,
        takeover,
        admin_listen,
    } = args;
    let mut problems = Problems::default();
    let reach = reach(connect, &mut problems);
    let admin_listen = problems.optional_address("admin-listen", &admin_listen);
    let config = ingress_of(&ingress, &mut problems);
    let config = reach
        .zip(admin_listen)
        .zip(config)
        .map(|((reach, admin_listen), config)| {
            let Reach {
                control_planes,
                security,
            } = reach;
            meshlite_ingress::Config {
                control_plane: control_planes,
                security,
                cache: state_dir.map(|folder| Cache {
                    folder: folder.join("ingress"),
                    secrets: secrets_dir,
                }),
                takeover,
                admin_listen,
                node_name: node_name.unwrap_or_default(),
                ..config
            }
        });
    problems.or(config)
}

/// What `meshlite standalone` runs.
pub(crate) fn standalone(args: StandaloneCommand) -> Result<StandaloneConfig, ConfigError> {
    let StandaloneCommand {
        source,
        servers,
        name,
        node,
        ingress,
        ingress_admin_listen,
    } = args;
    let mut problems = Problems::default();
    let node_name = name.node_name.clone().unwrap_or_default();
    let control_plane = control_plane_of(source, &servers, &mut problems);
    let node = node_of(name, node, &mut problems);
    let ingress_admin = problems.optional_address("ingress-admin-listen", &ingress_admin_listen);
    let ingress = ingress_of(&ingress, &mut problems);
    let config = control_plane.zip(ingress).zip(ingress_admin).map(
        |((control_plane, ingress), admin_listen)| StandaloneConfig {
            control_plane,
            node,
            ingress: meshlite_ingress::Config {
                admin_listen,
                node_name,
                ..ingress
            },
        },
    );
    problems.or(config)
}

/// The user's manifests for `meshlite demo`, if there are any.
pub(crate) fn manifests(path: Option<PathBuf>) -> Result<Option<PathBuf>, ConfigError> {
    let Some(path) = path else { return Ok(None) };
    let mut problems = Problems::default();
    let path = problems.existing("manifests", path);
    problems.or(path).map(Some)
}

fn ingress_of(ingress: &IngressArgs, problems: &mut Problems) -> Option<meshlite_ingress::Config> {
    let IngressArgs {
        address,
        trusted_proxy,
        access_log,
        otel_exporter_otlp_endpoint,
        otel_service_name,
        otel_traces_sampler,
        otel_traces_sampler_arg,
        max_body_bytes,
        max_client_connections,
        response_timeout,
        drain_timeout,
    } = ingress;
    let address = problems.parse("address", address, "an IP address, such as 0.0.0.0 or ::");
    let trusted_proxies = problems.ranges("trusted-proxy", trusted_proxy);
    let access_log = match access_log.as_str() {
        "off" => Some(None),
        "json" => Some(Some(AccessLogFormat::Json)),
        "combined" => Some(Some(AccessLogFormat::Combined)),
        other => {
            let problem = format_args!("`{other}` is not off, json or combined");
            problems.add("access-log", problem);
            None
        }
    };
    let share: Option<f64> = problems.parse(
        "otel-traces-sampler-arg",
        otel_traces_sampler_arg,
        "a number from 0 to 1",
    );
    let sampler = Sampler::named(otel_traces_sampler, share.unwrap_or(1.0));
    if sampler.is_none() {
        let problem = format_args!(
            "`{otel_traces_sampler}` is not always_on, always_off or traceidratio, with parentbased_ before it or not"
        );
        problems.add("otel-traces-sampler", problem);
    }
    let tracing = sampler.zip(
        otel_exporter_otlp_endpoint
            .as_ref()
            .filter(|url| !url.is_empty()),
    );
    let tracing = tracing.map(|(sampler, endpoint)| Tracing {
        endpoint: endpoint.clone(),
        service: otel_service_name.clone(),
        sampler,
    });
    let max_body_bytes: Option<u64> = problems.parse("max-body-bytes", max_body_bytes, "a number");
    let max_client_connections =
        problems.parse("max-client-connections", max_client_connections, "a number");
    let response_timeout = problems.duration("response-timeout", response_timeout);
    let drain_timeout = problems.duration("drain-timeout", drain_timeout);
    Some(meshlite_ingress::Config {
        address: address?,
        trusted_proxies: trusted_proxies?,
        access_log: access_log?,
        tracing,
        max_body_bytes: max_body_bytes.map(|most| (most > 0).then_some(most))?,
        max_client_connections: max_client_connections?,
        response_timeout: response_timeout?,
        drain_timeout: drain_timeout?,
        ..meshlite_ingress::Config::default()
    })
}

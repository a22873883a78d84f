//! Arguments of each command to the configuration of its planes.

use std::{ops::RangeInclusive, path::PathBuf};

use meshlite_compile::Settings;
use meshlite_control_plane::{Security, SourceConfig};
use meshlite_manifests::admit::AdmitSettings;
use meshlite_snapshot::Name;

use super::{ConfigError, Problems};
use crate::{
    args::{
        ClusterArgs, ControlPlaneCommand, FollowArgs, GetSnapshotArgs, IngressArgs, IngressCommand,
        NodeArgs, NodeCommand, NodeNameArgs, ServerArgs, SourceArgs, StandaloneCommand,
    },
    output::Format,
};

/// The three planes in one process. The data planes follow the control plane beside them.
#[derive(Debug)]
pub(crate) struct StandaloneConfig {
    pub(crate) control_plane: meshlite_control_plane::Config,
    pub(crate) node: meshlite_node::Config,
    pub(crate) ingress: meshlite_ingress::Config,
}

/// Where `get` reads from, and how it prints.
#[derive(Debug)]
pub(crate) struct GetConfig {
    pub(crate) source: GetSource,
    pub(crate) format: Format,
}

#[derive(Debug)]
pub(crate) enum GetSource {
    Server(String),
    Manifests(SourceConfig, Settings),
}

/// What `meshlite control-plane` runs.
pub(crate) fn control_plane(
    args: ControlPlaneCommand,
) -> Result<meshlite_control_plane::Config, ConfigError> {
    let ControlPlaneCommand { source, servers } = args;
    let mut problems = Problems::default();
    let config = control_plane_of(source, &servers, &mut problems);
    problems.or(config)
}

/// What `meshlite node` runs.
pub(crate) fn node(args: NodeCommand) -> Result<meshlite_node::Config, ConfigError> {
    let NodeCommand {
        follow: FollowArgs { control_plane },
        name,
        node,
        dry_run,
    } = args;
    let mut problems = Problems::default();
    let control_plane = problems.urls("control-plane", &control_plane);
    let config = node_of(name, &node, &mut problems);
    let config = control_plane
        .zip(config)
        .map(|(control_plane, config)| meshlite_node::Config {
            control_plane,
            dry_run,
            ..config
        });
    problems.or(config)
}

/// What `meshlite ingress` runs.
pub(crate) fn ingress(args: IngressCommand) -> Result<meshlite_ingress::Config, ConfigError> {
    let IngressCommand {
        follow: FollowArgs { control_plane },
        name: NodeNameArgs { node_name },
        ingress,
        admin_listen,
    } = args;
    let mut problems = Problems::default();
    let control_plane = problems.urls("control-plane", &control_plane);
    let admin_listen = problems.optional_address("admin-listen", &admin_listen);
    let config = ingress_of(&ingress, &mut problems);
    let config = control_plane.zip(admin_listen).zip(config).map(
        |((control_plane, admin_listen), config)| meshlite_ingress::Config {
            control_plane,
            admin_listen,
            node_name: node_name.unwrap_or_default(),
            ..config
        },
    );
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
    let node = node_of(name, &node, &mut problems);
    let ingress_admin = problems.optional_address("ingress-admin-listen", &ingress_admin_listen);
    let ingress = ingress_of(&ingress, &mut problems);
    let config = control_plane.zip(node).zip(ingress).zip(ingress_admin).map(
        |(((control_plane, node), ingress), admin_listen)| StandaloneConfig {
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

/// What `meshlite get snapshot` prints.
pub(crate) fn get_snapshot(args: GetSnapshotArgs) -> Result<GetConfig, ConfigError> {
    let GetSnapshotArgs {
        control_plane,
        manifests,
        state_dir,
        cluster,
        output,
    } = args;
    let mut problems = Problems::default();
    let format = match output.as_str() {
        "table" => Some(Format::Text),
        other => Format::structured(other),
    };
    if format.is_none() {
        problems.add(
            "output",
            format_args!("`{output}` is not table, yaml or json"),
        );
    }
    let source = match manifests {
        None => problems
            .url("control-plane", &control_plane)
            .map(GetSource::Server),
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
                    GetSource::Manifests(source, settings)
                })
        }
    };
    let config = source
        .zip(format)
        .map(|(source, format)| GetConfig { source, format });
    problems.or(config)
}

/// The user's manifests for `meshlite demo`, if there are any.
pub(crate) fn manifests(path: Option<PathBuf>) -> Result<Option<PathBuf>, ConfigError> {
    let Some(path) = path else { return Ok(None) };
    let mut problems = Problems::default();
    let path = problems.existing("manifests", path);
    problems.or(path).map(Some)
}

fn control_plane_of(
    source: SourceArgs,
    servers: &ServerArgs,
    problems: &mut Problems,
) -> Option<meshlite_control_plane::Config> {
    let SourceArgs {
        manifests,
        state_dir,
        cluster,
    } = source;
    let ServerArgs {
        listen,
        admin_listen,
    } = servers;
    let manifests = if let Some(path) = manifests {
        problems.existing("manifests", path)
    } else {
        problems.add(
            "manifests",
            "not set; name the folder or file of manifests to serve",
        );
        None
    };
    let cluster = cluster_of(&cluster, problems);
    let listen = problems.address("listen", listen);
    let admin_listen = problems.optional_address("admin-listen", admin_listen);
    let (admit, settings) = cluster?;
    Some(meshlite_control_plane::Config {
        listen: listen?,
        admin_listen: admin_listen?,
        source: SourceConfig::Files {
            manifests: manifests?,
            state_dir,
            admit,
            pods: None,
        },
        settings,
        security: Security::Insecure,
        replica: "meshlite-control-plane".into(),
    })
}

fn cluster_of(cluster: &ClusterArgs, problems: &mut Problems) -> Option<(AdmitSettings, Settings)> {
    let ClusterArgs {
        service_cidr,
        service_node_port_range,
        ingress_class,
        ingress_http_port,
        ingress_https_port,
        default_certificate,
    } = cluster;
    let service_cidrs = service_cidrs(service_cidr, problems);
    let node_port_range = node_port_range(service_node_port_range, problems);
    let is_class = !ingress_class.is_empty()
        && ingress_class
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c));
    if !is_class {
        problems.add(
            "ingress-class",
            format_args!(
                "`{ingress_class}` is not a name of lower-case letters, digits, `-` and `.`"
            ),
        );
    }
    let mut port = |flag, text: &str| {
        problems
            .parse::<std::num::NonZeroU16>(flag, text, "a port from 1 to 65535")
            .map(std::num::NonZeroU16::get)
    };
    let http_proxy_port = port("ingress-http-port", ingress_http_port);
    let https_proxy_port = port("ingress-https-port", ingress_https_port);
    if http_proxy_port.is_some() && http_proxy_port == https_proxy_port {
        problems.add(
            "ingress-https-port",
            "the same as --ingress-http-port; each needs its own",
        );
    }
    let default_certificate = match default_certificate {
        None => Some(None),
        Some(name) => secret_name(name, problems).map(Some),
    };
    let admit = AdmitSettings {
        service_cidrs: service_cidrs?,
        node_port_range: node_port_range?,
    };
    let settings = Settings {
        ingress_class: ingress_class.clone(),
        watch_ingress_without_class: true,
        http_proxy_port: http_proxy_port?,
        https_proxy_port: https_proxy_port?,
        default_certificate: default_certificate?,
        ..Settings::default()
    };
    Some((admit, settings))
}

fn service_cidrs(texts: &[String], problems: &mut Problems) -> Option<Vec<ipnet::IpNet>> {
    let ranges = problems.ranges("service-cidr", texts)?;
    let is_ipv4 = |range: &ipnet::IpNet| range.addr().is_ipv4();
    let families_differ = match ranges.as_slice() {
        [_one] => true,
        [one, two] => is_ipv4(one) != is_ipv4(two),
        _ => false,
    };
    if !families_differ {
        problems.add(
            "service-cidr",
            "takes one range, or one for IPv4 and one for IPv6",
        );
        return None;
    }
    Some(ranges)
}

fn node_port_range(text: &str, problems: &mut Problems) -> Option<RangeInclusive<u16>> {
    let range = text.split_once('-').and_then(|(first, last)| {
        let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first > 0 && first <= last).then_some(first..=last)
    });
    if range.is_none() {
        problems.add(
            "service-node-port-range",
            format_args!("`{text}` is not a range of ports, such as 30000-32767"),
        );
    }
    range
}

fn secret_name(text: &str, problems: &mut Problems) -> Option<Name> {
    let name = text
        .split_once('/')
        .filter(|(_, name)| !name.contains('/'))
        .and_then(|(namespace, name)| Name::namespaced(namespace, name).ok());
    if name.is_none() {
        problems.add(
            "default-certificate",
            format_args!("`{text}` is not NAMESPACE/NAME"),
        );
    }
    name
}

fn node_of(
    name: NodeNameArgs,
    node: &NodeArgs,
    problems: &mut Problems,
) -> Option<meshlite_node::Config> {
    let NodeNameArgs { node_name } = name;
    let NodeArgs {
        mode,
        nodeport_addresses,
        metrics_bind_address,
        healthz_bind_address,
    } = node;
    let mode = problems.mode(mode);
    let node_port_addresses = problems.ranges("nodeport-addresses", nodeport_addresses);
    let metrics_listen = problems.optional_address("metrics-bind-address", metrics_bind_address);
    let health_listen = problems.optional_address("healthz-bind-address", healthz_bind_address);
    Some(meshlite_node::Config {
        node_name: node_name.unwrap_or_default(),
        mode: mode?,
        node_port_addresses: node_port_addresses?,
        metrics_listen: metrics_listen?,
        health_listen: health_listen?,
        ..meshlite_node::Config::default()
    })
}

fn ingress_of(ingress: &IngressArgs, problems: &mut Problems) -> Option<meshlite_ingress::Config> {
    let IngressArgs {
        address,
        trusted_proxy,
        response_timeout,
        drain_timeout,
    } = ingress;
    let address = problems.parse("address", address, "an IP address, such as 0.0.0.0 or ::");
    let trusted_proxies = problems.ranges("trusted-proxy", trusted_proxy);
    let response_timeout = problems.duration("response-timeout", response_timeout);
    let drain_timeout = problems.duration("drain-timeout", drain_timeout);
    Some(meshlite_ingress::Config {
        address: address?,
        trusted_proxies: trusted_proxies?,
        response_timeout: response_timeout?,
        drain_timeout: drain_timeout?,
        ..meshlite_ingress::Config::default()
    })
}

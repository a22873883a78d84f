//! Each mistake in the arguments and what is said of it; what good values mean.

use clap::Parser;

use super::*;
use crate::args::{Cli, Command, GetCommand, GetWhat};

/// The mistakes in a command line, one line each; empty where there are none.
fn mistakes(line: &str) -> Vec<String> {
    let cli = Cli::try_parse_from(format!("meshlite {line}").split(' ')).unwrap();
    let result = match cli.command {
        Command::ControlPlane(args) => control_plane(args).map(drop),
        Command::Node(args) => node(args).map(drop),
        Command::Ingress(args) => ingress(args).map(drop),
        Command::Standalone(args) => standalone(args).map(drop),
        Command::Demo(args) => manifests(args.manifests).map(drop),
        Command::Get(GetCommand {
            what: GetWhat::Snapshot(args),
        }) => get_snapshot(args).map(drop),
        Command::Version(args) => crate::version::format(args).map(drop),
    };
    result
        .err()
        .map(|error| error.to_string().lines().map(str::to_owned).collect())
        .unwrap_or_default()
}

#[test]
fn defaults_are_good_where_nothing_must_be_said() {
    for line in [
        "node",
        "ingress",
        "demo",
        "get snapshot",
        "version",
        "control-plane --manifests .",
        "standalone --manifests .",
    ] {
        assert_eq!(mistakes(line), Vec::<String>::new(), "{line}");
    }
}

/// What is typed, and what is said of it.
const MISTAKES: &[(&str, &str)] = &[
    (
        "control-plane",
        "--manifests (MESHLITE_MANIFESTS): not set; name the folder or file of manifests to serve",
    ),
    (
        "control-plane --manifests /nonexistent/m",
        "--manifests (MESHLITE_MANIFESTS): cannot read /nonexistent/m: No such file or directory (os error 2)",
    ),
    (
        "control-plane --manifests . --listen 18000",
        "--listen (MESHLITE_LISTEN): `18000` is not an address with a port, such as 127.0.0.1:18000 or [::1]:18000",
    ),
    (
        "control-plane --manifests . --service-cidr 10.96.0.1/12",
        "--service-cidr (MESHLITE_SERVICE_CIDR): `10.96.0.1/12` has host bits set; write 10.96.0.0/12",
    ),
    (
        "control-plane --manifests . --service-cidr 10.96.0.0/12,10.112.0.0/12",
        "--service-cidr (MESHLITE_SERVICE_CIDR): takes one range, or one for IPv4 and one for IPv6",
    ),
    (
        "control-plane --manifests . --service-node-port-range 32767-30000",
        "--service-node-port-range (MESHLITE_SERVICE_NODE_PORT_RANGE): `32767-30000` is not a range of ports, such as 30000-32767",
    ),
    (
        "control-plane --manifests . --default-certificate tls",
        "--default-certificate (MESHLITE_DEFAULT_CERTIFICATE): `tls` is not NAMESPACE/NAME",
    ),
    (
        "control-plane --manifests . --ingress-https-port 8080",
        "--ingress-https-port (MESHLITE_INGRESS_HTTPS_PORT): the same as --ingress-http-port; each needs its own",
    ),
    (
        "control-plane --manifests . --ingress-http-port 0",
        "--ingress-http-port (MESHLITE_INGRESS_HTTP_PORT): `0` is not a port from 1 to 65535",
    ),
    (
        "control-plane --manifests . --ingress-class My_Class",
        "--ingress-class (MESHLITE_INGRESS_CLASS): `My_Class` is not a name of lower-case letters, digits, `-` and `.`",
    ),
    (
        "node --mode ipvs",
        "--mode (MESHLITE_MODE): mode ipvs is not built into this version; use auto or userspace",
    ),
    (
        "node --mode iptables",
        "--mode (MESHLITE_MODE): `iptables` is not one of auto, ipvs, nftables, userspace, memory",
    ),
    (
        "node --control-plane https://cp:18000",
        "--control-plane (MESHLITE_CONTROL_PLANE): `https://cp:18000` is not a URL of the form http://HOST:PORT",
    ),
    (
        "node --control-plane http://cp",
        "--control-plane (MESHLITE_CONTROL_PLANE): `http://cp` is not a URL of the form http://HOST:PORT",
    ),
    (
        "node --nodeport-addresses lan",
        "--nodeport-addresses (MESHLITE_NODEPORT_ADDRESSES): `lan` is not a range of addresses, such as 10.96.0.0/12",
    ),
    (
        "ingress --address localhost",
        "--address (MESHLITE_ADDRESS): `localhost` is not an IP address, such as 0.0.0.0 or ::",
    ),
    (
        "ingress --drain-timeout 30",
        "--drain-timeout (MESHLITE_DRAIN_TIMEOUT): `30` is not a duration, such as 500ms, 30s or 5m",
    ),
    (
        "get snapshot -o xml",
        "--output (MESHLITE_OUTPUT): `xml` is not table, yaml or json",
    ),
    (
        "version -o table",
        "--output (MESHLITE_OUTPUT): `table` is not text, yaml or json",
    ),
];

#[test]
fn each_mistake_names_its_flag_and_variable_and_says_what_to_write() {
    for (line, mistake) in MISTAKES {
        assert_eq!(mistakes(line), [*mistake], "{line}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let found =
        mistakes("standalone --listen a --mode b --address c --drain-timeout d --service-cidr e");
    let flags: Vec<_> = found
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(
        flags,
        [
            "--manifests",
            "--service-cidr",
            "--listen",
            "--mode",
            "--address",
            "--drain-timeout"
        ]
    );
}

#[test]
fn values_mean_what_they_say() {
    let line = "meshlite standalone --manifests . --service-cidr 127.96.0.0/16,fd00::/108 --mode userspace \
                --nodeport-addresses 127.0.0.1,10.0.0.0/8 --metrics-bind-address= --drain-timeout 1m \
                --trusted-proxy 10.1.0.0/16 --default-certificate web/tls --node-name n1";
    let Command::Standalone(args) = Cli::try_parse_from(line.split_whitespace())
        .unwrap()
        .command
    else {
        panic!("another command");
    };
    let config = standalone(args).unwrap();
    let meshlite_control_plane::SourceConfig::Files { admit, .. } = config.control_plane.source
    else {
        panic!("another source");
    };
    let cidrs: Vec<_> = admit
        .service_cidrs
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(cidrs, ["127.96.0.0/16", "fd00::/108"]);
    assert_eq!(
        config
            .control_plane
            .settings
            .default_certificate
            .unwrap()
            .as_str(),
        "web/tls"
    );
    assert!(config.control_plane.settings.watch_ingress_without_class);
    assert_eq!(config.node.mode, Mode::Userspace);
    let addresses: Vec<_> = config
        .node
        .node_port_addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(addresses, ["127.0.0.1/32", "10.0.0.0/8"]);
    assert_eq!(config.node.metrics_listen, None);
    assert_eq!(
        config.node.health_listen.unwrap().to_string(),
        "0.0.0.0:10256"
    );
    assert_eq!(config.ingress.drain_timeout, Duration::from_mins(1));
    assert_eq!(config.ingress.node_name, "n1");
}

#[test]
fn durations_have_a_unit() {
    for (text, duration) in [
        ("500ms", Some(Duration::from_millis(500))),
        ("30s", Some(Duration::from_secs(30))),
        ("5m", Some(Duration::from_mins(5))),
        ("1h", Some(Duration::from_hours(1))),
        ("30", None),
        ("s", None),
        ("-1s", None),
        ("1.5s", None),
        ("5 m", None),
        ("", None),
    ] {
        assert_eq!(parse_duration(text), duration, "{text:?}");
    }
}

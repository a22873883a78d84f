//! Each mistake in the arguments and what is said of it; what good values mean.

use clap::Parser;
use meshlite_node::{DetectLocal, Scheduler, VipBinding};

use super::*;
use crate::args::{Cli, Command, GetCommand, GetWhat};

/// The mistakes in a command line, one line each; empty where there are none.
fn mistakes(line: &str) -> Vec<String> {
    let cli = Cli::try_parse_from(format!("meshlite {line}").split(' ')).unwrap();
    let result = match cli.command {
        Command::ControlPlane(args) => control_plane(args).map(drop),
        Command::Node(args) => node(args).map(drop),
        Command::Ingress(args) => ingress(args).map(drop),
        Command::Standalone(args) => standalone(*args).map(drop),
        Command::Demo(args) => manifests(args.manifests).map(drop),
        Command::Get(GetCommand { what }) => match what {
            GetWhat::Snapshot(args) => get_snapshot(args).map(drop),
            GetWhat::Services(args)
            | GetWhat::Endpoints(args)
            | GetWhat::Routes(args)
            | GetWhat::Certificates(args) => get(args).map(drop),
        },
        Command::Status(args) => status(args).map(drop),
        Command::Diff(args) => diff(args).map(drop),
        Command::Explain(args) => explain(args).map(drop),
        Command::Migrate(args) => migrate(args).map(drop),
        Command::Preflight(args) => preflight(*args).map(drop),
        Command::Completions(_) | Command::Man(_) => Ok(()),
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
        "get services -n shop",
        "get endpoints web --node http://127.0.0.1:10249 -o wide",
        "status",
        "diff node-1",
        "migrate web.yaml -o json",
        "migrate --cluster --nginx-compat",
        "version",
        "control-plane --kubernetes --listen 0.0.0.0:18000",
        "control-plane --kube-api-server https://10.0.0.1:6443 --watch-namespace a,b --publish-service a/b",
        "control-plane --kubernetes --insecure",
        "control-plane --manifests . --listen 0.0.0.0:18000 --insecure",
        "control-plane --manifests . --listen 0.0.0.0:18000 --client-ca .",
        "node --control-plane https://10.0.0.1:18000,https://10.0.0.2:18000 --ca-file . --token-file .",
        "ingress --state-dir /var/lib/meshlite --secrets-dir /run/meshlite",
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
        "--manifests (MESHLITE_MANIFESTS): not set; name the folder or file of manifests to serve, or an API server (control-plane --kubernetes)",
    ),
    (
        "control-plane --manifests . --kubernetes",
        "--manifests (MESHLITE_MANIFESTS): there is one source: give it, or one of --kubernetes, --kubeconfig and --kube-api-server",
    ),
    (
        "control-plane --kubernetes --kubeconfig .",
        "--kubeconfig (MESHLITE_KUBECONFIG): give it or --kubernetes, not both",
    ),
    (
        "control-plane --kubernetes --state-dir s",
        "--state-dir (MESHLITE_STATE_DIR): is for --manifests; the API server keeps allocations",
    ),
    (
        "control-plane --manifests . --watch-namespace a",
        "--watch-namespace (MESHLITE_WATCH_NAMESPACE): needs an API server: --kubernetes, --kubeconfig or --kube-api-server",
    ),
    (
        "control-plane --kubernetes --publish-service web",
        "--publish-service (MESHLITE_PUBLISH_SERVICE): `web` is not NAMESPACE/NAME",
    ),
    (
        "control-plane --kubernetes --publish-service a/b --publish-status-address 10.0.0.1",
        "--publish-service (MESHLITE_PUBLISH_SERVICE): give it or --publish-status-address, not both",
    ),
    (
        "control-plane --kubernetes --reader-service-account a/b,c",
        "--reader-service-account (MESHLITE_READER_SERVICE_ACCOUNT): `c` is not NAMESPACE/NAME",
    ),
    (
        "control-plane --manifests . --listen 0.0.0.0:18000",
        "--listen (MESHLITE_LISTEN): only loopback is plaintext by default; name the CA of client certificates (--client-ca), or allow plaintext with --insecure",
    ),
    (
        "control-plane --manifests . --tls-name cp.example.com",
        "--client-ca (MESHLITE_CLIENT_CA): not set; without an API server, clients prove who they are by certificates: name their CA",
    ),
    (
        "control-plane --kubernetes --insecure --client-ca .",
        "--insecure (MESHLITE_INSECURE): plaintext has no certificates; leave it away, or the --tls-… and --client-ca flags",
    ),
    (
        "control-plane --kubernetes --tls-certificate .",
        "--tls-key (MESHLITE_TLS_KEY): not set; --tls-certificate needs its key",
    ),
    (
        "standalone --manifests . --listen 0.0.0.0:18000",
        "--listen (MESHLITE_LISTEN): standalone serves gRPC in plaintext, so only on loopback; to allow it elsewhere: --insecure",
    ),
    (
        "explain http://h/ --client me",
        "--client (MESHLITE_CLIENT): `me` is not an IP address",
    ),
    (
        "ingress --control-plane http://127.0.0.1:1 --access-log xml",
        "--access-log (MESHLITE_ACCESS_LOG): `xml` is not off, json or combined",
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
        "node --mode iptables",
        "--mode (MESHLITE_MODE): `iptables` is not one of auto, ipvs, nftables, userspace, memory",
    ),
    (
        "node --control-plane grpc://cp:18000",
        "--control-plane (MESHLITE_CONTROL_PLANE): `grpc://cp:18000` is not a URL of the form https://HOST:PORT or http://HOST:PORT",
    ),
    (
        "node --control-plane http://cp",
        "--control-plane (MESHLITE_CONTROL_PLANE): `http://cp` is not a URL of the form https://HOST:PORT or http://HOST:PORT",
    ),
    (
        "node --control-plane http://cp:1,https://cp:2",
        "--control-plane (MESHLITE_CONTROL_PLANE): some are https:// and some http://; write the same for all",
    ),
    (
        "node --token-file .",
        "--token-file (MESHLITE_TOKEN_FILE): needs a --control-plane that begins with https://",
    ),
    (
        "status --control-plane https://cp:1 --token-file . --client-certificate .",
        "--token-file (MESHLITE_TOKEN_FILE): give it or --client-certificate, not both",
    ),
    (
        "status --control-plane https://cp:1 --client-certificate .",
        "--client-key (MESHLITE_CLIENT_KEY): not set; --client-certificate needs its key",
    ),
    (
        "status --control-plane https://cp:1 --ca-file /nonexistent/ca.crt",
        "--ca-file (MESHLITE_CA_FILE): cannot read /nonexistent/ca.crt: No such file or directory (os error 2)",
    ),
    (
        "get routes --node https://n1:10249",
        "--node (MESHLITE_NODE): `https://n1:10249` is not a URL of the form http://HOST:PORT",
    ),
    (
        "status -o text",
        "--output (MESHLITE_OUTPUT): `text` is not table, wide, yaml or json",
    ),
    (
        "node --nodeport-addresses lan",
        "--nodeport-addresses (MESHLITE_NODEPORT_ADDRESSES): `lan` is not a range of addresses, such as 10.96.0.0/12",
    ),
    (
        "node --ipvs-scheduler fastest",
        "--ipvs-scheduler (MESHLITE_IPVS_SCHEDULER): IPVS has no scheduler \"fastest\"; one of rr, wrr, lc, wlc, sh, dh, sed, nq, mh, fo, ovf, lblc, lblcr",
    ),
    (
        "node --masquerade-all=perhaps",
        "--masquerade-all (MESHLITE_MASQUERADE_ALL): `perhaps` is not true or false",
    ),
    (
        "node --sync-period 0s",
        "--sync-period (MESHLITE_SYNC_PERIOD): must be longer than 0",
    ),
    (
        "node --min-sync-period 1m",
        "--min-sync-period (MESHLITE_MIN_SYNC_PERIOD): is longer than the sync period, which is 30s",
    ),
    (
        "node --detect-local-mode pods",
        "--detect-local-mode (MESHLITE_DETECT_LOCAL_MODE): `pods` is not ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix",
    ),
    (
        "node --detect-local-mode BridgeInterface",
        "--pod-bridge-interface (MESHLITE_POD_BRIDGE_INTERFACE): not set; the --detect-local-mode needs it",
    ),
    (
        "node --cluster-cidr 10.244.0.0/16 --detect-local-mode NodeCIDR",
        "--cluster-cidr (MESHLITE_CLUSTER_CIDR): is for --detect-local-mode ClusterCIDR",
    ),
    (
        "node --vip-binding none",
        "--vip-binding (MESHLITE_VIP_BINDING): unknown binding \"none\"; one of address, route",
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
        "--output (MESHLITE_OUTPUT): `xml` is not table, wide, yaml or json",
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
fn node_ports_can_be_on_primary_addresses_beside_ranges() {
    let of = |addresses: &str| {
        let flag = format!("--nodeport-addresses={addresses}");
        let line = [
            "meshlite",
            "node",
            "--control-plane=http://127.0.0.1:1",
            &flag,
        ];
        let Command::Node(args) = Cli::try_parse_from(line).unwrap().command else {
            panic!("another command");
        };
        let config = node(args).unwrap().node;
        (config.node_port_primary, config.node_port_addresses.len())
    };
    assert_eq!(of("primary"), (true, 0));
    assert_eq!(of("10.0.0.0/8,primary"), (true, 1));
    assert_eq!(of("10.0.0.0/8"), (false, 1));
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
    let config = standalone(*args).unwrap();
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
    assert_eq!(config.node.node.mode, Mode::Userspace);
    let addresses: Vec<_> = config
        .node
        .node
        .node_port_addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(addresses, ["127.0.0.1/32", "10.0.0.0/8"]);
    assert_eq!(config.node.node.metrics_listen, None);
    assert_eq!(
        config.node.node.health_listen.unwrap().to_string(),
        "0.0.0.0:10256"
    );
    assert_eq!(config.ingress.drain_timeout, Duration::from_mins(1));
    assert_eq!(config.ingress.node_name, "n1");
}

#[test]
fn flags_of_kube_proxy_mean_what_they_mean_there() {
    let line = "meshlite node --ipvs-scheduler lc --ipvs-strict-arp --ipvs-exclude-cidrs 10.9.0.0/16 --ipvs-tcp-timeout 15m \
                --ipvs-tcpfin-timeout 2m --ipvs-udp-timeout 0s --masquerade-all=true --cluster-cidr 10.244.0.0/16,fd00::/56 \
                --sync-period 1m --min-sync-period 1s --vip-binding address --no-sysctls --open-forward --localhost-nodeports \
                --check-endpoints";
    let Command::Node(args) = Cli::try_parse_from(line.split_whitespace())
        .unwrap()
        .command
    else {
        panic!("another command");
    };
    let config = node(args).unwrap().node;
    assert_eq!(config.scheduler, Scheduler::Lc);
    assert!(config.strict_arp && config.masquerade_all && config.localhost_node_ports);
    assert!(!config.sysctls && config.open_forward && config.check_endpoints);
    assert_eq!(config.exclude_cidrs.len(), 1);
    let timeouts = [
        config.tcp_timeout,
        config.tcp_fin_timeout,
        config.udp_timeout,
    ];
    let minutes = |n| Some(Duration::from_mins(n));
    assert_eq!(timeouts, [minutes(15), minutes(2), None]);
    let periods = (config.sync_period, config.min_sync_period);
    assert_eq!(periods, (Duration::from_mins(1), Duration::from_secs(1)));
    assert_eq!(config.vip_binding, VipBinding::Address);
    let pods = ["10.244.0.0/16", "fd00::/56"].map(|range| range.parse().unwrap());
    assert_eq!(config.detect_local, DetectLocal::ClusterCidr(pods.into()));
}

#[test]
fn flags_override_the_configuration_of_kube_proxy() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: iptables\n\
                enableProfiling: true\nhostnameOverride: n1\nipvs:\n  scheduler: lc\n  strictARP: true\n";
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().display();
    let of = |flags: &str| {
        let line = format!("meshlite node --config {path} {flags}");
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Node(args) = cli.command else {
            panic!("another command");
        };
        node(args).unwrap()
    };
    let NodeConfig { node, remarks } = of("");
    assert_eq!((node.mode, &*node.node_name), (Mode::Nftables, "n1"));
    assert_eq!(node.scheduler, Scheduler::Rr);
    let fields: Vec<_> = remarks.iter().map(|remark| &*remark.field).collect();
    let expected = [
        "mode",
        "enableProfiling",
        "ipvs.scheduler",
        "ipvs.strictARP",
    ];
    assert_eq!(fields, expected);
    let NodeConfig { node, remarks } = of("--mode ipvs --ipvs-strict-arp=false --node-name n2");
    assert_eq!((node.mode, &*node.node_name), (Mode::Ipvs, "n2"));
    assert_eq!((node.scheduler, node.strict_arp), (Scheduler::Lc, false));
    assert_eq!(remarks.len(), 1, "{remarks:?}");
}

#[test]
fn mistakes_in_the_configuration_of_kube_proxy_name_file_and_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: fast\nipvs:\n  strictArp: true\n";
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().display();
    assert_eq!(
        mistakes(&format!("node --config {path}")),
        [
            format!(
                "--config (MESHLITE_CONFIG): {path}: line 3: mode: `fast` is not a mode; write ipvs, nftables or iptables, or nothing for the best that works"
            ),
            format!(
                "--config (MESHLITE_CONFIG): {path}: line 5: ipvs.strictArp: unknown field; did you mean ipvs.strictARP?"
            ),
        ]
    );
    assert_eq!(
        mistakes("node --config /nonexistent/c"),
        [
            "--config (MESHLITE_CONFIG): cannot read /nonexistent/c: No such file or directory (os error 2)"
        ]
    );
}

#[test]
fn service_accounts_are_those_of_the_namespace_unless_they_are_named() {
    let line = "meshlite control-plane --kubernetes --namespace mesh --reader-service-account ops/alice \
                --listen 0.0.0.0:18000 --replica-name cp-0 --ingress-controller example.com/ingress";
    let Command::ControlPlane(args) = Cli::try_parse_from(line.split_whitespace())
        .unwrap()
        .command
    else {
        panic!("another command");
    };
    let config = control_plane(args).unwrap();
    assert_eq!(config.replica, "cp-0");
    assert!(!config.settings.watch_ingress_without_class);
    assert_eq!(config.settings.ingress_controller, "example.com/ingress");
    let meshlite_control_plane::Security::Tls(tls) = config.security else {
        panic!("plaintext");
    };
    let tokens = tls.tokens.unwrap();
    assert_eq!(tokens.audience, "meshlite");
    assert_eq!(tokens.node, [ObjectKey::new("mesh", "meshlite-node")]);
    assert_eq!(tokens.reader, [ObjectKey::new("ops", "alice")]);
}

#[test]
fn one_state_folder_can_serve_every_plane_of_a_host() {
    let line = "meshlite node --state-dir /var/lib/meshlite";
    let Command::Node(args) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
        panic!("another command");
    };
    let cache = node(args).unwrap().node.cache.unwrap();
    assert_eq!(cache.folder, PathBuf::from("/var/lib/meshlite/node"));
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

#[test]
fn a_mistake_in_tracing_names_the_variable_of_opentelemetry() {
    let said = mistakes(
        "ingress --control-plane http://127.0.0.1:18000 --otel-exporter-otlp-endpoint http://127.0.0.1:4317 \
         --otel-traces-sampler sometimes",
    );
    assert!(
        said[0].starts_with("--otel-traces-sampler (OTEL_TRACES_SAMPLER): `sometimes`"),
        "{said:?}"
    );
}

//! Every field of the published type, the documents that people have, and whatever else a file may hold.

mod fields;
mod hostile;

use std::time::Duration;

use super::*;
use crate::{Conntrack, DetectLocal, Scheduler};

/// The two lines that make a document a configuration.
const HEAD: &str = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

/// What a file makes of the defaults, and its remarks as they are logged.
fn configured(text: &str) -> (Config, Vec<String>) {
    let mut config = Config::default();
    let remarks = configure(text.as_bytes(), None, &mut config).unwrap();
    (config, remarks.iter().map(ToString::to_string).collect())
}

/// The mistakes in a file.
fn mistakes(text: &str) -> Vec<String> {
    let mut config = Config::default();
    let error = configure(text.as_bytes(), None, &mut config).unwrap_err();
    error.lines()
}

/// What kubeadm writes into every cluster: each field, most of them with their zero value.
const CONFIG_MAP: &str = r#"apiVersion: v1
kind: ConfigMap
metadata:
  labels:
    app: kube-proxy
  name: kube-proxy
  namespace: kube-system
data:
  config.conf: |-
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    bindAddress: 0.0.0.0
    bindAddressHardFail: false
    clientConnection:
      acceptContentTypes: ""
      burst: 0
      contentType: ""
      kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
      qps: 0
    clusterCIDR: 10.244.0.0/16
    configSyncPeriod: 0s
    conntrack:
      maxPerCore: null
      min: null
      tcpBeLiberal: false
      tcpCloseWaitTimeout: null
      tcpEstablishedTimeout: null
      udpStreamTimeout: 0s
      udpTimeout: 0s
    detectLocal:
      bridgeInterface: ""
      interfaceNamePrefix: ""
    detectLocalMode: ""
    enableProfiling: false
    healthzBindAddress: ""
    hostnameOverride: ""
    iptables:
      localhostNodePorts: null
      masqueradeAll: false
      masqueradeBit: null
      minSyncPeriod: 0s
      syncPeriod: 0s
    ipvs:
      excludeCIDRs: null
      minSyncPeriod: 0s
      scheduler: ""	# rr unless something is written here
      strictARP: false
      syncPeriod: 0s
      tcpFinTimeout: 0s
      tcpTimeout: 0s
      udpTimeout: 0s
    kind: KubeProxyConfiguration
    logging:
      flushFrequency: 0
      options:
        json:
          infoBufferSize: "0"
      verbosity: 0
    metricsBindAddress: ""
    mode: "ipvs"	# was empty
    nftables:
      masqueradeAll: false
      masqueradeBit: null
      minSyncPeriod: 0s
      syncPeriod: 0s
    nodePortAddresses: null
    oomScoreAdj: null
    portRange: ""
    showHiddenMetricsForVersion: ""
    winkernel:
      enableDSR: false
      forwardHealthCheckVip: false
      networkName: ""
      rootHnsEndpointName: ""
      sourceVip: ""
  kubeconfig.conf: |-
    apiVersion: v1
    kind: Config
"#;

#[test]
fn the_config_map_of_kubeadm_asks_for_ipvs_and_little_else() {
    let (config, remarks) = configured(CONFIG_MAP);
    assert_eq!(config.mode, Mode::Ipvs);
    assert_eq!(config.scheduler, Scheduler::Rr);
    assert_eq!(
        remarks,
        [
            "line 17: clientConnection.kubeconfig: does not apply: a node follows the control plane, and never asks the API \
             server (--control-plane)"
        ]
    );
}

#[test]
fn what_a_document_is_silent_about_is_as_in_kube_proxy() {
    let mut config = Config {
        scheduler: Scheduler::Sh,
        masquerade_all: true,
        sync_period: Duration::from_secs(7),
        node_port_addresses: vec!["10.0.0.0/8".parse().unwrap()],
        ..Config::default()
    };
    configure(HEAD.as_bytes(), None, &mut config).unwrap();
    assert_eq!(config.mode, Mode::Auto);
    assert_eq!(config.scheduler, Scheduler::Rr);
    assert!(!config.masquerade_all && !config.strict_arp);
    assert_eq!(config.sync_period, Duration::from_secs(30));
    assert_eq!(config.min_sync_period, Duration::from_secs(1));
    assert_eq!(config.node_port_addresses, []);
    assert!(config.localhost_node_ports, "as in its iptables mode");
    assert_eq!(config.detect_local, DetectLocal::Snapshot);
    assert_eq!(config.conntrack, Conntrack::default());
    assert_eq!(
        config.metrics_listen.unwrap().to_string(),
        "127.0.0.1:10249"
    );
    assert_eq!(config.health_listen.unwrap().to_string(), "0.0.0.0:10256");
}

#[test]
fn each_mode_has_its_own_defaults() {
    let of = |mode: &str| configured(&format!("{HEAD}mode: {mode}\n")).0;
    let (ipvs, nftables) = (of("ipvs"), of("nftables"));
    assert_eq!(ipvs.min_sync_period, Duration::ZERO);
    assert!(!ipvs.localhost_node_ports && !ipvs.node_port_primary);
    assert_eq!(nftables.min_sync_period, Duration::from_secs(1));
    assert!(!nftables.localhost_node_ports && nftables.node_port_primary);
}

#[test]
fn iptables_mode_is_served_by_nftables_and_says_so() {
    let (config, remarks) = configured(&format!("{HEAD}mode: iptables\n"));
    assert_eq!(config.mode, Mode::Nftables);
    assert!(config.localhost_node_ports && !config.node_port_primary);
    assert_eq!(
        remarks,
        [
            "line 3: mode: iptables is served by nftables, which does the same without iptables rules"
        ]
    );
}

#[test]
fn the_mode_of_a_flag_decides_which_sections_apply() {
    let text = format!("{HEAD}mode: iptables\nipvs:\n  scheduler: lc\n  syncPeriod: 10s\n");
    let mut config = Config::default();
    let remarks = configure(text.as_bytes(), Some(Mode::Ipvs), &mut config).unwrap();
    assert_eq!(remarks, []);
    assert_eq!((config.mode, config.scheduler), (Mode::Ipvs, Scheduler::Lc));
    assert_eq!(config.sync_period, Duration::from_secs(10));
}

#[test]
fn a_document_of_a_kubeadm_file_is_found_among_the_others() {
    let text = "# for kubeadm init\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking:\n  \
                podSubnet: 10.244.0.0/16\n---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n\
                cgroupDriver: systemd\n--- # the node's own\napiVersion: kubeproxy.config.k8s.io/v1alpha1\n\
                kind: KubeProxyConfiguration\nmode: ipvs\nenableProfiling: true\n...\n";
    let (config, remarks) = configured(text);
    assert_eq!(config.mode, Mode::Ipvs);
    assert_eq!(
        remarks,
        ["line 14: enableProfiling: does not apply: there is no /debug/pprof"]
    );
}

#[test]
fn strict_arp_is_all_that_a_load_balancer_asks_for() {
    let (config, remarks) =
        configured(&format!("{HEAD}mode: \"ipvs\"\nipvs:\n  strictARP: true\n"));
    assert!(config.strict_arp);
    assert_eq!(remarks, [""; 0]);
}

#[test]
fn json_is_read_too() {
    let (config, _) = configured(
        "{\"apiVersion\": \"kubeproxy.config.k8s.io/v1alpha1\",\n \"kind\": \"KubeProxyConfiguration\",\n \
         \"ipvs\": {\"scheduler\": \"wlc\"}}",
    );
    assert_eq!(config.scheduler, Scheduler::Wlc);
}

/// Everything that means something else here, or nothing, in one document.
#[test]
fn what_does_not_apply_is_reported_in_the_order_of_the_document() {
    let text = format!(
        "{HEAD}mode: nftables\nportRange: 30000-32767\noomScoreAdj: -999\nfeatureGates:\n  TopologyAwareHints: true\n\
         logging:\n  verbosity: 4\niptables:\n  masqueradeBit: 14\n  masqueradeAll: true\n  syncPeriod: 1m\nipvs:\n  \
         scheduler: lc\nclusterCIDR: 10.244.0.0/16\ndetectLocalMode: NodeCIDR\nnewerThanThis: 1\n"
    );
    let (_, remarks) = configured(&text);
    assert_eq!(
        remarks.join("\n"),
        "\
line 4: portRange: does not apply: kube-proxy itself has not had it for long
line 5: oomScoreAdj: does not apply: whoever starts the process sets it: OOMScoreAdjust of a systemd unit, or the Pod's quality of service
line 6: featureGates: does not apply: there are no feature gates
line 9: logging.verbosity: does not apply: --log-level and --log-format say what is logged, and how
line 11: iptables.masqueradeBit: does not apply: packets are not marked: what is masqueraded is known by where the connection was for
line 12: iptables.masqueradeAll: does not apply: the section of this mode is nftables
line 13: iptables.syncPeriod: does not apply: the section of this mode is nftables
line 15: ipvs.scheduler: does not apply: the mode is nftables
line 16: clusterCIDR: does not apply: detectLocalMode is NodeCIDR
line 18: newerThanThis: does not apply: unknown field, which kube-proxy would ignore"
    );
}

#[test]
fn configz_is_read_back_as_the_same_configuration() {
    for text in [
        HEAD.to_owned(),
        CONFIG_MAP.to_owned(),
        format!(
            "{HEAD}mode: nftables\nbindAddress: \"::\"\nnodePortAddresses: [primary, 10.0.0.0/8]\n"
        ),
        format!(
            "{HEAD}ipvs:\n  scheduler: sed\n  excludeCIDRs: [10.9.0.0/16]\n  tcpTimeout: 1h30m\niptables:\n  masqueradeAll: true\n\
             nftables:\n  masqueradeAll: true\ndetectLocalMode: BridgeInterface\ndetectLocal: {{bridgeInterface: cni0}}\n\
             conntrack: {{maxPerCore: 0, tcpEstablishedTimeout: 0s}}\nhostnameOverride: Node-1\n"
        ),
    ] {
        let (config, _) = configured(&text);
        let shown = configz(&config);
        let (again, remarks) = configured(&shown["kubeproxy.config.k8s.io"].to_string());
        assert_eq!(format!("{again:?}"), format!("{config:?}"), "{text}");
        assert_eq!(remarks, [""; 0], "{text}");
    }
}

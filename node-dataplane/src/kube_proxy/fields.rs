//! Every field of the published type, what it holds, and why it does not apply where it does not.

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Switch,
    /// A whole number within these bounds.
    Number(i64, i64),
    Duration,
    Texts,
    /// Whatever it is, nothing looks into it.
    Anything,
}

/// A field of a `KubeProxyConfiguration`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    /// Why it means nothing to Meshlite; none where it applies.
    pub(super) why_not: Option<&'static str>,
}

const API_SERVER: &str =
    "a node follows the control plane, and never asks the API server (--control-plane)";
const LOGS: &str = "--log-level and --log-format say what is logged, and how";
const MARK: &str =
    "packets are not marked: what is masqueraded is known by where the connection was for";
const WINDOWS: &str = "is for Windows";
const RETIRED: &str = "kube-proxy itself has not had it for long";
const PORT_TAKEN: &str = "a node whose own ports are taken always ends";
const BIT: Kind = Kind::Number(0, 31);
const COUNT: Kind = Kind::Number(0, i32::MAX as i64);

/// Every field, sorted by path.
pub(super) const FIELDS: &[Field] = &[
    applies("apiVersion", Kind::Text),
    applies("bindAddress", Kind::Text),
    ignored("bindAddressHardFail", Kind::Switch, PORT_TAKEN),
    ignored(
        "clientConnection.acceptContentTypes",
        Kind::Text,
        API_SERVER,
    ),
    ignored("clientConnection.burst", COUNT, API_SERVER),
    ignored("clientConnection.contentType", Kind::Text, API_SERVER),
    ignored("clientConnection.kubeconfig", Kind::Text, API_SERVER),
    ignored("clientConnection.qps", Kind::Anything, API_SERVER),
    applies("clusterCIDR", Kind::Text),
    ignored("configSyncPeriod", Kind::Duration, API_SERVER),
    applies("conntrack.maxPerCore", COUNT),
    applies("conntrack.min", COUNT),
    applies("conntrack.tcpBeLiberal", Kind::Switch),
    applies("conntrack.tcpCloseWaitTimeout", Kind::Duration),
    applies("conntrack.tcpEstablishedTimeout", Kind::Duration),
    applies("conntrack.udpStreamTimeout", Kind::Duration),
    applies("conntrack.udpTimeout", Kind::Duration),
    applies("detectLocal.bridgeInterface", Kind::Text),
    applies("detectLocal.interfaceNamePrefix", Kind::Text),
    applies("detectLocalMode", Kind::Text),
    ignored("enableProfiling", Kind::Switch, "there is no /debug/pprof"),
    ignored("featureGates", Kind::Anything, "there are no feature gates"),
    applies("healthzBindAddress", Kind::Text),
    applies("hostnameOverride", Kind::Text),
    applies("iptables.localhostNodePorts", Kind::Switch),
    applies("iptables.masqueradeAll", Kind::Switch),
    ignored("iptables.masqueradeBit", BIT, MARK),
    applies("iptables.minSyncPeriod", Kind::Duration),
    ignored(
        "iptables.snatNodeInternalIP",
        Kind::Switch,
        "connections are masqueraded as the address of the interface that they leave by",
    ),
    applies("iptables.syncPeriod", Kind::Duration),
    applies("ipvs.excludeCIDRs", Kind::Texts),
    applies("ipvs.minSyncPeriod", Kind::Duration),
    applies("ipvs.scheduler", Kind::Text),
    applies("ipvs.strictARP", Kind::Switch),
    applies("ipvs.syncPeriod", Kind::Duration),
    applies("ipvs.tcpFinTimeout", Kind::Duration),
    applies("ipvs.tcpTimeout", Kind::Duration),
    applies("ipvs.udpTimeout", Kind::Duration),
    applies("kind", Kind::Text),
    ignored("logging.flushFrequency", Kind::Anything, LOGS),
    ignored("logging.format", Kind::Text, LOGS),
    ignored("logging.options", Kind::Anything, LOGS),
    ignored("logging.verbosity", COUNT, LOGS),
    ignored("logging.vmodule", Kind::Anything, LOGS),
    applies("metricsBindAddress", Kind::Text),
    applies("mode", Kind::Text),
    applies("nftables.masqueradeAll", Kind::Switch),
    ignored("nftables.masqueradeBit", BIT, MARK),
    applies("nftables.minSyncPeriod", Kind::Duration),
    applies("nftables.syncPeriod", Kind::Duration),
    applies("nodePortAddresses", Kind::Texts),
    ignored(
        "oomScoreAdj",
        Kind::Number(-1000, 1000),
        "whoever starts the process sets it: OOMScoreAdjust of a systemd unit, or the Pod's quality of service",
    ),
    ignored("portRange", Kind::Text, RETIRED),
    ignored("resourceContainer", Kind::Text, RETIRED),
    ignored(
        "showHiddenMetricsForVersion",
        Kind::Text,
        "no metric is hidden",
    ),
    ignored("udpIdleTimeout", Kind::Duration, RETIRED),
    ignored("windowsRunAsService", Kind::Switch, WINDOWS),
    ignored("winkernel.enableDSR", Kind::Switch, WINDOWS),
    ignored("winkernel.forwardHealthCheckVip", Kind::Switch, WINDOWS),
    ignored("winkernel.networkName", Kind::Text, WINDOWS),
    ignored("winkernel.rootHnsEndpointName", Kind::Text, WINDOWS),
    ignored("winkernel.sourceVip", Kind::Text, WINDOWS),
];

/// What a path leads to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    Field(&'static Field),
    /// A mapping with fields.
    Section,
}

/// What is at a path.
pub(super) fn find(path: &str) -> Option<Found> {
    let field = FIELDS.iter().find(|field| field.path == path);
    field.map(Found::Field).or_else(|| {
        let within = |field: &Field| {
            let rest = field.path.strip_prefix(path);
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        FIELDS.iter().any(within).then_some(Found::Section)
    })
}

/// The path that was meant by one that is not there: misspelt, or elsewhere.
pub(super) fn meant(path: &str) -> Option<&'static str> {
    let name = |path: &str| path.rsplit('.').next().unwrap_or_default().to_lowercase();
    let wanted = name(path);
    let sections = FIELDS.iter().filter_map(|field| {
        let (section, _) = field.path.split_once('.')?;
        Some(section)
    });
    let distance = |candidate: &&str| {
        let whole = strsim::damerau_levenshtein(&candidate.to_lowercase(), &path.to_lowercase());
        let name = strsim::damerau_levenshtein(&name(candidate), &wanted);
        // The same name elsewhere is likelier than another name.
        (name, whole)
    };
    let all = FIELDS.iter().map(|field| field.path).chain(sections);
    let best = all.min_by_key(distance)?;
    let (name, _) = distance(&best);
    (name * 4 <= wanted.len()).then_some(best)
}

const fn applies(path: &'static str, kind: Kind) -> Field {
    Field {
        path,
        kind,
        why_not: None,
    }
}

const fn ignored(path: &'static str, kind: Kind, why_not: &'static str) -> Field {
    Field {
        path,
        kind,
        why_not: Some(why_not),
    }
}

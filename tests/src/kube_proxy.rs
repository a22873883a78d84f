//! kube-proxy, as Kubernetes publishes it: where it is, and how a node of the world configures it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::apiserver::{Assets, Error};

/// Where it is: in `KUBEBUILDER_ASSETS`, else where `make tools` builds it.
pub fn program() -> Result<PathBuf, Error> {
    Assets::kube_proxy()
}

/// As kubeadm has it, but for what a namespace has no say in, and with no least time between two passes. `mode` is `ipvs`
/// or `nftables`.
pub fn config(mode: &str, node: &str, kubeconfig: &Path) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": mode,
        "hostnameOverride": node,
        "clientConnection": {"kubeconfig": kubeconfig},
        "clusterCIDR": "10.244.0.0/16,fd00:244::/32",
        "featureGates": {"KubeProxyIPVS": true},
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    })
}

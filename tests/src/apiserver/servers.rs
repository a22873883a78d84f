//! How each server is started: its command line.

use std::{fs, path::Path};

use serde_json::json;

use super::{Assets, Error, Guardian, ReservedPort, credentials::Credentials, process::Process};

/// Who issues the tokens of service accounts, and the audience of those that name none.
pub(super) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// etcd on a port of its own. It does not wait for the disk: what it holds ends with the test.
pub(super) fn etcd(
    assets: &Assets,
    guardian: &Guardian,
    port: &ReservedPort,
) -> Result<Process, Error> {
    let folder = guardian.folder();
    let url = format!("http://127.0.0.1:{}", port.number());
    let arguments = [
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    Process::start("etcd", &assets.etcd, &arguments, folder)
}

/// kube-apiserver as kubeadm starts it in what matters to its clients: TLS, RBAC, bound tokens, both address families.
pub(super) fn kube_apiserver(
    assets: &Assets,
    guardian: &Guardian,
    credentials: &Credentials,
    (port, etcd): (&ReservedPort, &ReservedPort),
    more: &[String],
) -> Result<Process, Error> {
    let folder = guardian.folder();
    let file = |name: &str| credentials.file(name).display().to_string();
    let policy = folder.join("audit-policy.yaml");
    fs::write(&policy, audit_policy()).map_err(Error::Folder)?;
    let mut arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", etcd.number()),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", port.number()),
        format!("--tls-cert-file={}", file("serving.crt")),
        format!("--tls-private-key-file={}", file("serving.key")),
        format!("--client-ca-file={}", file("ca.crt")),
        "--authorization-mode=Node,RBAC".to_owned(),
        format!("--service-account-issuer={ISSUER}"),
        format!("--api-audiences={ISSUER}"),
        // As clusters with a network plugin have it: node agents set their host up.
        "--allow-privileged".to_owned(),
        format!("--service-account-key-file={}", file("tokens.pub")),
        format!("--service-account-signing-key-file={}", file("tokens.key")),
        "--service-cluster-ip-range=10.96.0.0/12,fd00:10:96::/112".to_owned(),
        // An ingress on NodePort 80 and 443.
        "--service-node-port-range=80-32767".to_owned(),
        // There is no host address to publish: everything is on the loopback, which no EndpointSlice may name.
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--audit-log-path={}", file("audit.log")),
        format!("--audit-policy-file={}", policy.display()),
    ];
    arguments.extend_from_slice(more);
    Process::start("kube-apiserver", &assets.kube_apiserver, &arguments, folder)
}

/// kube-controller-manager with the controllers that Services and namespaces need.
pub(super) fn kube_controller_manager(
    assets: &Assets,
    guardian: &Guardian,
    kubeconfig: &Path,
) -> Result<Process, Error> {
    let arguments = [
        format!("--kubeconfig={}", kubeconfig.display()),
        "--controllers=serviceaccount-controller,namespace-controller,endpointslice-controller,endpointslice-mirroring-controller"
            .to_owned(),
        "--leader-elect=false".to_owned(),
        // It is asked nothing.
        "--secure-port=0".to_owned(),
        // Thousands of Services are to be ready soon.
        "--kube-api-qps=1000".to_owned(),
        "--kube-api-burst=2000".to_owned(),
    ];
    Process::start(
        "kube-controller-manager",
        &assets.kube_controller_manager,
        &arguments,
        guardian.folder(),
    )
}

/// Who asked for what, and what came of it; watches when they begin and when they end.
fn audit_policy() -> String {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "nonResourceURLs": ["/readyz*", "/livez*", "/healthz*", "/api*", "/openapi*", "/version*"]},
            {"level": "Metadata"},
        ],
    })
    .to_string()
}

//! Flags of a control plane: a Kubernetes API server as its source, and who may connect.

use std::path::PathBuf;

use clap::Args;

/// An API server instead of manifests.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kubernetes")]
pub(crate) struct KubernetesArgs {
    /// Watch the API server of the cluster that this Pod runs in; elsewhere, that of `KUBECONFIG` or ~/.kube/config.
    #[arg(long, hide_env_values = true, env = "MESHLITE_KUBERNETES")]
    pub(crate) kubernetes: bool,
    /// Watch the API server of the current context of this kubeconfig.
    #[arg(
        long,
        value_name = "FILE",
        hide_env_values = true,
        env = "MESHLITE_KUBECONFIG"
    )]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Reach the API server directly at this URL, such as `https://10.0.0.1:6443`, with the credentials of the Pod or of
    /// the kubeconfig. It needs no Service VIP, so that Meshlite can be what serves them.
    #[arg(
        long,
        value_name = "URL",
        hide_env_values = true,
        env = "MESHLITE_KUBE_API_SERVER"
    )]
    pub(crate) kube_api_server: Option<String>,
    /// Serve only objects of this namespace. Repeat it, or use commas, for more. Default: all.
    #[arg(
        long,
        value_name = "NAMESPACE",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_WATCH_NAMESPACE"
    )]
    pub(crate) watch_namespace: Vec<String>,
    /// Serve Ingresses that name no class too. With --manifests they always are.
    #[arg(
        long,
        hide_env_values = true,
        env = "MESHLITE_WATCH_INGRESS_WITHOUT_CLASS"
    )]
    pub(crate) watch_ingress_without_class: bool,
    /// Where the Lease and the CA of the control plane live. Default: `POD_NAMESPACE`, else `meshlite`.
    #[arg(
        long,
        value_name = "NAMESPACE",
        hide_env_values = true,
        env = "MESHLITE_NAMESPACE"
    )]
    pub(crate) namespace: Option<String>,
    /// The Lease that the one replica holds which writes status and Events.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "meshlite-control-plane",
        hide_env_values = true,
        env = "MESHLITE_LEASE_NAME"
    )]
    pub(crate) lease_name: String,
    /// Write this IP address or host name to the status of served Ingresses. Repeat it, or use commas, for more.
    #[arg(
        long,
        value_name = "ADDRESS",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_PUBLISH_STATUS_ADDRESS"
    )]
    pub(crate) publish_status_address: Vec<String>,
    /// Write the addresses of this Service to the status of served Ingresses.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        hide_env_values = true,
        env = "MESHLITE_PUBLISH_SERVICE"
    )]
    pub(crate) publish_service: Option<String>,
    /// The headless Service whose endpoints are the replicas of this control plane: any of them answers for all.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        hide_env_values = true,
        env = "MESHLITE_PEER_SERVICE"
    )]
    pub(crate) peer_service: Option<String>,
}

/// How the control plane and those who connect prove who they are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Security")]
pub(crate) struct SecurityArgs {
    /// Show this certificate (PEM, leaf first), which is read again as it changes. Default: one that the control plane
    /// makes and renews, signed by a CA of its own in the Secret and the ConfigMap `meshlite-ca`, or in --state-dir.
    #[arg(
        long,
        value_name = "FILE",
        hide_env_values = true,
        env = "MESHLITE_TLS_CERTIFICATE"
    )]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The private key of --tls-certificate (PEM).
    #[arg(
        long,
        value_name = "FILE",
        hide_env_values = true,
        env = "MESHLITE_TLS_KEY"
    )]
    pub(crate) tls_key: Option<PathBuf>,
    /// A host name or address that the certificate which the control plane makes is for too. Repeat it, or use commas.
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_TLS_NAME"
    )]
    pub(crate) tls_name: Vec<String>,
    /// Believe client certificates that these CAs signed (PEM). Their organisation says what a client may do:
    /// meshlite:node, meshlite:ingress, meshlite:reader or meshlite:replica; their common name is its node or user.
    #[arg(
        long,
        value_name = "FILE",
        hide_env_values = true,
        env = "MESHLITE_CLIENT_CA"
    )]
    pub(crate) client_ca: Option<PathBuf>,
    /// The audience that service-account tokens must be for.
    #[arg(
        long,
        value_name = "AUDIENCE",
        default_value = "meshlite",
        hide_env_values = true,
        env = "MESHLITE_TOKEN_AUDIENCE"
    )]
    pub(crate) token_audience: String,
    /// A service account that may follow as a node. Repeat it, or use commas. Default: `meshlite-node` in --namespace.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_NODE_SERVICE_ACCOUNT"
    )]
    pub(crate) node_service_account: Vec<String>,
    /// A service account that may follow as an ingress, and so have private keys. Default: `meshlite-ingress`.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_INGRESS_SERVICE_ACCOUNT"
    )]
    pub(crate) ingress_service_account: Vec<String>,
    /// A service account that may ask for status and resources, without private keys. Default: `meshlite-reader`.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_READER_SERVICE_ACCOUNT"
    )]
    pub(crate) reader_service_account: Vec<String>,
    /// The service account of the control plane's replicas. Default: `meshlite-control-plane`.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_REPLICA_SERVICE_ACCOUNT"
    )]
    pub(crate) replica_service_account: Vec<String>,
}

//! Flags of whatever connects to a control plane.

use std::path::PathBuf;

use clap::Args;

/// Which control plane, how it proves itself, and how this process does.
#[derive(Debug, Args)]
#[command(next_help_heading = "Control plane")]
pub(crate) struct ConnectArgs {
    /// The control plane. Repeat it, or use commas, for replicas. With https:// both sides prove who they are.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:18000",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_CONTROL_PLANE"
    )]
    pub(crate) control_plane: Vec<String>,
    /// With https://: the CAs that sign the control plane's certificate (PEM); `ca.crt` of the ConfigMap `meshlite-ca`.
    /// It is read again as it changes. Default: those that this machine trusts.
    #[arg(
        long,
        value_name = "FILE",
        hide_env_values = true,
        env = "MESHLITE_CA_FILE"
    )]
    pub(crate) ca_file: Option<PathBuf>,
    /// With https://: the name that the control plane's certificate must be for, whatever its address.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "meshlite-control-plane",
        hide_env_values = true,
        env = "MESHLITE_SERVER_NAME"
    )]
    pub(crate) server_name: String,
    /// With https://: a service-account token for the control plane's audience. It is read again as it changes.
    /// Default: /var/run/secrets/meshlite.io/token, where that is there.
    #[arg(
        long,
        value_name = "FILE",
        hide_env_values = true,
        env = "MESHLITE_TOKEN_FILE"
    )]
    pub(crate) token_file: Option<PathBuf>,
    /// With https://: a client certificate instead of a token (PEM).
    #[arg(
        long,
        value_name = "FILE",
        hide_env_values = true,
        env = "MESHLITE_CLIENT_CERTIFICATE"
    )]
    pub(crate) client_certificate: Option<PathBuf>,
    /// The private key of --client-certificate (PEM).
    #[arg(
        long,
        value_name = "FILE",
        hide_env_values = true,
        env = "MESHLITE_CLIENT_KEY"
    )]
    pub(crate) client_key: Option<PathBuf>,
}

//! Flags that several commands share.

use std::path::PathBuf;

use clap::Args;

/// How this process logs; to standard error.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct LogArgs {
    /// `text` or `json`.
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        hide_env_values = true,
        env = "MESHLITE_LOG_FORMAT"
    )]
    pub(crate) log_format: String,
    /// A level, or levels by module: `info,meshlite_node=debug`. Default: info; for `demo`, error; for `get`,
    /// `status` and `diff`, warn.
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        hide_env_values = true,
        env = "MESHLITE_LOG_LEVEL"
    )]
    pub(crate) log_level: Option<String>,
}

/// Where objects come from, and what they are served as.
#[derive(Debug, Args)]
#[command(next_help_heading = "Source")]
pub(crate) struct SourceArgs {
    /// The folder (read recursively and watched) or file of Kubernetes manifests to serve.
    #[arg(
        long,
        value_name = "DIR|FILE",
        hide_env_values = true,
        env = "MESHLITE_MANIFESTS"
    )]
    pub(crate) manifests: Option<PathBuf>,
    /// Where allocated cluster IPs and node ports survive a restart. Without it, an object that is added while the
    /// control plane is down may change those of others.
    #[arg(
        long,
        value_name = "DIR",
        hide_env_values = true,
        env = "MESHLITE_STATE_DIR"
    )]
    pub(crate) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

/// What an API server would be set up with, and the ingress class that is ours.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterArgs {
    /// Cluster IPs are allocated from here: one range, or one for IPv4 and one for IPv6.
    #[arg(
        long,
        value_name = "CIDR[,CIDR]",
        default_value = "10.96.0.0/12",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_SERVICE_CIDR"
    )]
    pub(crate) service_cidr: Vec<String>,
    /// Node ports are allocated from here.
    #[arg(
        long,
        value_name = "FIRST-LAST",
        default_value = "30000-32767",
        hide_env_values = true,
        env = "MESHLITE_SERVICE_NODE_PORT_RANGE"
    )]
    pub(crate) service_node_port_range: String,
    /// The ingress class that is served. With --manifests, Ingresses without a class are served too.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "meshlite",
        hide_env_values = true,
        env = "MESHLITE_INGRESS_CLASS"
    )]
    pub(crate) ingress_class: String,
    /// An IngressClass with this controller is ours, whatever its name.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "meshlite.io/ingress",
        hide_env_values = true,
        env = "MESHLITE_INGRESS_CONTROLLER"
    )]
    pub(crate) ingress_controller: String,
    /// The port that ingresses bind for HTTP.
    #[arg(
        long,
        value_name = "PORT",
        default_value = "8080",
        hide_env_values = true,
        env = "MESHLITE_INGRESS_HTTP_PORT"
    )]
    pub(crate) ingress_http_port: String,
    /// The port that ingresses bind for HTTPS.
    #[arg(
        long,
        value_name = "PORT",
        default_value = "8443",
        hide_env_values = true,
        env = "MESHLITE_INGRESS_HTTPS_PORT"
    )]
    pub(crate) ingress_https_port: String,
    /// The TLS Secret for server names that no Ingress has a certificate for. Without it, ingresses make their own.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        hide_env_values = true,
        env = "MESHLITE_DEFAULT_CERTIFICATE"
    )]
    pub(crate) default_certificate: Option<String>,
    /// Serve Ingresses with ingress-nginx's defaults where they write nothing: HTTP redirects to HTTPS on hosts with TLS,
    /// bodies are at most 1 MiB, its timeouts and retries.
    #[arg(long, hide_env_values = true, env = "MESHLITE_NGINX_COMPAT")]
    pub(crate) nginx_compat: bool,
    /// Let Ingresses send to Services of type ExternalName: whoever may write a Service then chooses hosts that the
    /// ingress connects to.
    #[arg(long, hide_env_values = true, env = "MESHLITE_EXTERNAL_NAMES")]
    pub(crate) external_names: bool,
}

/// Where a control plane listens.
#[derive(Debug, Args)]
#[command(next_help_heading = "Control plane servers")]
pub(crate) struct ServerArgs {
    /// Where data planes connect (gRPC).
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:18000",
        hide_env_values = true,
        env = "MESHLITE_LISTEN"
    )]
    pub(crate) listen: String,
    /// Serve gRPC in plaintext, and let everybody who can connect do and read everything, private keys too. With
    /// --manifests on loopback that is the default.
    #[arg(long, hide_env_values = true, env = "MESHLITE_INSECURE")]
    pub(crate) insecure: bool,
    /// Where health, readiness and metrics are served. Empty for nowhere.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:18001",
        hide_env_values = true,
        env = "MESHLITE_ADMIN_LISTEN"
    )]
    pub(crate) admin_listen: String,
}

/// Which node this is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct NodeNameArgs {
    /// The name of this node's Node object. Default: the host's name.
    #[arg(
        long,
        value_name = "NAME",
        hide_env_values = true,
        env = "MESHLITE_NODE_NAME"
    )]
    pub(crate) node_name: Option<String>,
}

/// How an ingress serves.
#[derive(Debug, Args)]
#[command(next_help_heading = "Ingress")]
pub(crate) struct IngressArgs {
    /// The address that HTTP and HTTPS are served on; the ports are the control plane's to say.
    #[arg(
        long,
        value_name = "IP",
        default_value = "0.0.0.0",
        hide_env_values = true,
        env = "MESHLITE_ADDRESS"
    )]
    pub(crate) address: String,
    /// Clients whose X-Forwarded-* headers are believed: the load balancers in front. Default: nobody's.
    #[arg(
        long,
        value_name = "CIDR,…",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_TRUSTED_PROXY"
    )]
    pub(crate) trusted_proxy: Vec<String>,
    /// A line on standard output for each request: `off`, `json`, or `combined` (as Apache and nginx have it, with more
    /// behind).
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "off",
        hide_env_values = true,
        env = "MESHLITE_ACCESS_LOG"
    )]
    pub(crate) access_log: String,
    /// Trace requests to this OpenTelemetry collector (OTLP over gRPC), such as `http://127.0.0.1:4317`. Default: nowhere.
    #[arg(
        long,
        value_name = "URL",
        hide_env_values = true,
        env = "OTEL_EXPORTER_OTLP_ENDPOINT"
    )]
    pub(crate) otel_exporter_otlp_endpoint: Option<String>,
    /// What traces call the ingress.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "meshlite-ingress",
        hide_env_values = true,
        env = "OTEL_SERVICE_NAME"
    )]
    pub(crate) otel_service_name: String,
    /// Which requests are traced: `always_on`, `always_off`, `traceidratio`, or with `parentbased_` before it: those
    /// that the client traces, and of others as the rest of the name says.
    #[arg(
        long,
        value_name = "RULE",
        default_value = "parentbased_always_on",
        hide_env_values = true,
        env = "OTEL_TRACES_SAMPLER"
    )]
    pub(crate) otel_traces_sampler: String,
    /// The share of requests, from 0 to 1, of a rule that ends with `traceidratio`.
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "1",
        hide_env_values = true,
        env = "OTEL_TRACES_SAMPLER_ARG"
    )]
    pub(crate) otel_traces_sampler_arg: String,
    /// The most bytes of a request's body, where its route does not say; 0 for any.
    #[arg(
        long,
        value_name = "BYTES",
        default_value = "0",
        hide_env_values = true,
        env = "MESHLITE_MAX_BODY_BYTES"
    )]
    pub(crate) max_body_bytes: String,
    /// The most connections that one client address may have open at once. Trusted proxies may have any number.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "16384",
        hide_env_values = true,
        env = "MESHLITE_MAX_CLIENT_CONNECTIONS"
    )]
    pub(crate) max_client_connections: String,
    /// How long an endpoint may take to answer, from the request's head to the response's.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        hide_env_values = true,
        env = "MESHLITE_RESPONSE_TIMEOUT"
    )]
    pub(crate) response_timeout: String,
    /// How long requests that are under way get when the ingress stops.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        hide_env_values = true,
        env = "MESHLITE_DRAIN_TIMEOUT"
    )]
    pub(crate) drain_timeout: String,
}

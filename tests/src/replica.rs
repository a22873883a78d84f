//! A replica of the control plane as a process of its own, so that it can be killed as a machine that fails kills it.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use meshlite_compile::{ObjectKey, Settings};
use meshlite_control_plane::{
    Config, KubernetesConfig, PublishStatus, Security, ServerCertificate, SourceConfig, TlsConfig,
    TokenConfig,
};
use meshlite_kubernetes::Connection;
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

/// Lines of its log that a failed test shows.
const TAIL: usize = 60;

/// What a test tells a replica, as JSON on its standard input.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ReplicaConfig {
    /// In status, Lease and Events.
    pub name: String,
    /// Where it listens for gRPC. [`Replica::start`] replaces port 0 with one that stays the replica's.
    pub listen: SocketAddr,
    /// The API server and who asks it.
    pub kubeconfig: PathBuf,
    /// A direct URL of the API server, instead of the kubeconfig's.
    pub api_server: Option<String>,
    /// Where Lease, Secret and ConfigMap are, and the service accounts of clients.
    pub namespace: String,
    /// Empty for all.
    pub watch_namespaces: Vec<String>,
    /// The class that is served by name.
    pub ingress_class: String,
    /// Whether Ingresses without a class are served.
    pub watch_ingress_without_class: bool,
    /// What `status.loadBalancer` says; empty for no status.
    pub publish_addresses: Vec<String>,
    /// The Service, in `namespace`, whose addresses it says instead.
    pub publish_service: Option<String>,
    /// The Service, in `namespace`, whose endpoints are the replicas.
    pub peer_service: Option<String>,
    /// TLS and tokens; without, everybody may do everything.
    pub secure: bool,
}

/// What the program prints once it is bound, as JSON in one line.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Bound {
    /// gRPC.
    pub grpc: SocketAddr,
    /// Probes, metrics and findings.
    pub admin: SocketAddr,
}

/// A running replica. Dropped, it is killed at once; it also ends with the thread that started it.
#[derive(Debug)]
pub struct Replica {
    program: PathBuf,
    config: ReplicaConfig,
    /// Holds the port while the process is down.
    _port: Socket,
    folder: TempDir,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    bound: Bound,
}

impl From<ReplicaConfig> for Config {
    fn from(config: ReplicaConfig) -> Self {
        let account = |name: &str| vec![ObjectKey::new(&config.namespace, name)];
        let tls = TlsConfig {
            certificate: ServerCertificate::SelfManaged { names: Vec::new() },
            client_ca: None,
            tokens: Some(TokenConfig {
                audience: "meshlite".to_owned(),
                node: account("meshlite-node"),
                ingress: account("meshlite-ingress"),
                reader: account("meshlite-reader"),
                replica: account("meshlite-control-plane"),
            }),
        };
        let service = |name: &str| ObjectKey::new(&config.namespace, name);
        Self {
            listen: config.listen,
            admin_listen: Some(([127, 0, 0, 1], 0).into()),
            settings: Settings {
                ingress_class: config.ingress_class,
                watch_ingress_without_class: config.watch_ingress_without_class,
                ..Settings::default()
            },
            security: if config.secure {
                Security::Tls(tls)
            } else {
                Security::Insecure
            },
            replica: config.name,
            source: SourceConfig::Kubernetes(KubernetesConfig {
                connection: Connection {
                    kubeconfig: Some(config.kubeconfig),
                    api_server: config.api_server,
                },
                watch_namespaces: config.watch_namespaces,
                lease_name: "meshlite-control-plane".to_owned(),
                publish_status: match &config.publish_service {
                    Some(name) => PublishStatus::Service(service(name)),
                    None if config.publish_addresses.is_empty() => PublishStatus::Nothing,
                    None => PublishStatus::Addresses(config.publish_addresses),
                },
                peer_service: config.peer_service.as_deref().map(service),
                namespace: config.namespace,
            }),
        }
    }
}

impl Replica {
    /// Starts the program; returns when its listeners are bound, which is before it serves.
    pub fn start(program: &Path, mut config: ReplicaConfig) -> Result<Self, ReplicaError> {
        let port = reserve(&mut config.listen).map_err(ReplicaError::Port)?;
        let mut replica = Self {
            program: program.to_owned(),
            config,
            _port: port,
            folder: tempfile::tempdir().map_err(ReplicaError::Log)?,
            running: None,
        };
        replica.start_again()?;
        Ok(replica)
    }

    /// Starts it where it is down, with what it was told at first.
    pub fn start_again(&mut self) -> Result<(), ReplicaError> {
        self.kill();
        let log = self.log();
        let log = File::options().create(true).append(true).open(log);
        let mut child = Command::new(&self.program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.map_err(ReplicaError::Log)?)
            .spawn()
            .map_err(ReplicaError::NotStarted)?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(ReplicaError::Silent);
        };
        let mut said = String::new();
        // What went wrong with either is in the log.
        serde_json::to_writer(&mut stdin, &self.config).ok();
        drop(stdin);
        BufReader::new(stdout).read_line(&mut said).ok();
        let bound = serde_json::from_str(&said).ok();
        let Some(bound) = bound else {
            child.kill().ok();
            child.wait().ok();
            return Err(ReplicaError::NotBound(self.tail()));
        };
        self.running = Some(Running { child, bound });
        Ok(())
    }

    /// Ends it with SIGKILL, if it runs.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.child.kill().ok();
            running.child.wait().ok();
        }
    }

    /// Asks it to end with SIGTERM, and waits until it has.
    pub fn stop(&mut self) -> Result<(), ReplicaError> {
        self.signal(Signal::SIGTERM)?;
        let Some(mut running) = self.running.take() else {
            return Ok(());
        };
        let status = running.child.wait().map_err(ReplicaError::NotStarted)?;
        if status.success() {
            Ok(())
        } else {
            Err(ReplicaError::NotBound(self.tail()))
        }
    }

    /// Stops it where it is, with SIGSTOP.
    pub fn freeze(&self) -> Result<(), ReplicaError> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<(), ReplicaError> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), ReplicaError> {
        let Some(running) = &self.running else {
            return Ok(());
        };
        let pid = Pid::from_raw(running.child.id().try_into().unwrap_or(i32::MAX));
        signal::kill(pid, signal).map_err(|error| ReplicaError::NotStarted(error.into()))
    }

    /// Its name in status, Lease and Events.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Where it listens for gRPC, also while it is down.
    pub fn grpc(&self) -> SocketAddr {
        self.config.listen
    }

    /// The URL of [`Self::grpc`].
    pub fn url(&self) -> String {
        let scheme = if self.config.secure { "https" } else { "http" };
        format!("{scheme}://{}", self.grpc())
    }

    /// Where its probes, metrics and findings are; none while it is down.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.running.as_ref().map(|running| running.bound.admin)
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// The end of what it has logged.
    pub fn tail(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    /// All that it has logged.
    pub fn logged(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let (name, tail) = (self.name(), self.tail());
            // Nobody to tell where standard error is closed.
            writeln!(
                std::io::stderr(),
                "--- the log of {name} ends with:\n{tail}"
            )
            .ok();
        }
    }
}

/// Binds the address without listening, so that it stays ours while its server is down.
fn reserve(address: &mut SocketAddr) -> std::io::Result<Socket> {
    let domain = match address.ip() {
        IpAddr::V4(_) => Domain::IPV4,
        IpAddr::V6(_) => Domain::IPV6,
    };
    let held = Socket::new(domain, Type::STREAM, None)?;
    held.set_reuse_address(true)?;
    held.bind(&(*address).into())?;
    if let Some(bound) = held.local_addr()?.as_socket() {
        *address = bound;
    }
    Ok(held)
}

/// Why there is no replica.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ReplicaError {
    #[error("no port for a replica: {0}")]
    Port(std::io::Error),
    #[error("the log of a replica cannot be written: {0}")]
    Log(std::io::Error),
    #[error("a replica was not started or ended: {0}")]
    NotStarted(std::io::Error),
    #[error("a replica has no standard input and output")]
    Silent,
    #[error("a replica failed: {0}")]
    NotBound(String),
}

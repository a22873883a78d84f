//! Everything that runs: an origin, a control plane with an ingress, and the peers; each pinned to its core.

use std::{
    ffi::OsStr,
    net::{IpAddr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use meshlite_tests::process::{Process, free_port, sibling, wait_until_ready};
use tempfile::TempDir;

use crate::{objects, peers};

/// Proxies have one core for themselves …
pub(crate) const PROXY_CORE: &str = "0";
/// … and whatever they are measured with has the other.
pub(crate) const LOAD_CORE: &str = "1";

/// What the ingress is called.
pub(crate) const OURS: &str = "meshlite";

/// A proxy that is measured.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) process: Process,
    pub(crate) ports: Ports,
}

/// Where a proxy listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) address: &'static str,
    pub(crate) http: u16,
    pub(crate) https: u16,
    /// HTTP/2 without TLS.
    pub(crate) h2c: u16,
    /// HTTP with an access log.
    pub(crate) logged: u16,
}

/// What runs at once.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) control: Control,
    _origin: Process,
}

/// A control plane with its manifests, and what it needs.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) folder: TempDir,
    grpc: u16,
    http: u16,
    https: u16,
    _process: Process,
}

impl Stage {
    /// Starts everything, with so many routes in the ingress.
    pub(crate) async fn set(routes: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let origin = SocketAddr::new(own_address()?, free_port()?);
        let identity = rcgen::generate_simple_self_signed([objects::HOST.to_owned()])?;
        let (certificate, key) = (identity.cert.pem(), identity.signing_key.serialize_pem());
        std::fs::write(
            folder.path().join("pair.pem"),
            format!("{certificate}{key}"),
        )?;
        let served = peers::origin(folder.path(), origin)?;
        let control = Control::start(folder, routes, origin, &certificate, &key).await?;
        let mut proxies = vec![control.ingress(OURS, "127.0.0.1", &[], &[]).await?];
        proxies.extend(peers::start(control.folder.path(), origin).await?);
        Ok(Self {
            proxies,
            control,
            _origin: served,
        })
    }

    pub(crate) fn all(&self) -> Vec<&Proxy> {
        self.proxies.iter().collect()
    }

    /// Those of these names that are there.
    pub(crate) fn of(&self, names: &[&str]) -> Vec<&Proxy> {
        let named = |proxy: &&Proxy| names.contains(&proxy.name);
        self.proxies.iter().filter(named).collect()
    }
}

impl Proxy {
    pub(crate) fn http(&self) -> String {
        self.url("http", self.ports.http)
    }

    pub(crate) fn https(&self) -> String {
        self.url("https", self.ports.https)
    }

    pub(crate) fn h2c(&self) -> String {
        self.url("http", self.ports.h2c)
    }

    pub(crate) fn logged(&self) -> String {
        self.url("http", self.ports.logged)
    }

    fn url(&self, scheme: &str, port: u16) -> String {
        format!("{scheme}://{}:{port}{}", self.ports.address, objects::PATH)
    }
}

impl Control {
    async fn start(
        folder: TempDir,
        routes: usize,
        origin: SocketAddr,
        certificate: &str,
        key: &str,
    ) -> anyhow::Result<Self> {
        let manifests = folder.path().join("manifests");
        std::fs::create_dir(&manifests)?;
        objects::write(&manifests, routes, origin, certificate, key)?;
        let (grpc, admin, http, https) = (free_port()?, free_port()?, free_port()?, free_port()?);
        let log = folder.path().join("control-plane.log");
        let arguments = [
            "control-plane".to_owned(),
            format!("--manifests={}", manifests.display()),
            format!("--listen=127.0.0.1:{grpc}"),
            format!("--admin-listen=127.0.0.1:{admin}"),
            format!("--ingress-http-port={http}"),
            format!("--ingress-https-port={https}"),
            "--default-certificate=default/certificate".to_owned(),
            "--insecure".to_owned(),
        ];
        let process = pinned(LOAD_CORE, &sibling("meshlite")?, arguments, &log)?;
        wait_until_ready(admin, "/ready", &log).await?;
        Ok(Self {
            folder,
            grpc,
            http,
            https,
            _process: process,
        })
    }

    pub(crate) fn manifests(&self) -> PathBuf {
        self.folder.path().join("manifests")
    }

    /// Starts an ingress on an address of its own, with one worker as it has one core, and waits until it serves. `runner` is what runs it.
    pub(crate) async fn ingress(
        &self,
        name: &'static str,
        address: &'static str,
        runner: &[&str],
        more: &[&str],
    ) -> anyhow::Result<Proxy> {
        let admin = free_port()?;
        let log = self.folder.path().join(format!("{name}.log"));
        let program = sibling("meshlite")?.display().to_string();
        let grpc = format!("http://127.0.0.1:{}", self.grpc);
        let admin_listen = format!("127.0.0.1:{admin}");
        let mut command = runner.to_vec();
        command.extend([&program, "ingress", "--control-plane", &grpc]);
        command.extend(["--address", address]);
        command.extend(["--admin-listen", &admin_listen]);
        command.extend(more);
        let (program, arguments) = command.split_first().context("no program")?;
        let process = pinned(PROXY_CORE, Path::new(program), arguments, &log)?;
        wait_until_ready(admin, "/ready", &log).await?;
        Ok(Proxy {
            name,
            process,
            ports: Ports {
                address,
                http: self.http,
                https: self.https,
                h2c: self.http,
                logged: self.http,
            },
        })
    }
}

/// Starts a program on one core. What it prints is thrown away, as a file would take it, and what it logs is kept.
pub(crate) fn pinned(
    core: &str,
    program: &Path,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    log: &Path,
) -> anyhow::Result<Process> {
    let script = "exec taskset -c \"$@\" >/dev/null";
    let mut all = vec!["-c".into(), script.into(), "pinned".into(), core.into()];
    all.push(program.as_os_str().to_owned());
    all.extend(arguments.into_iter().map(|word| word.as_ref().to_owned()));
    Process::start(Path::new("/bin/sh"), all, log)
}

/// An address of this machine that an EndpointSlice may have, which loopback is not. What is sent to it stays inside.
fn own_address() -> anyhow::Result<IpAddr> {
    let probe = UdpSocket::bind("0.0.0.0:0")?;
    // Nothing is sent by this.
    probe
        .connect("192.0.2.1:9")
        .context("this machine has no address besides loopback, and endpoints need one")?;
    Ok(probe.local_addr()?.ip())
}

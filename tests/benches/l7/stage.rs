//! Everything that runs: the origins, a control plane with an ingress, and the peers; each pinned to its core.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fmt::Write as _,
    fs,
    net::{IpAddr, UdpSocket},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use meshlite_tests::process::{Process, free_port, sibling, wait_until_ready};
use tempfile::TempDir;

use crate::{
    clients::Sessions,
    load::Load,
    objects::{self, Host, Origin, Origins},
    origin, peers,
    plan::Plan,
};

/// Proxies have one core for themselves …
pub(crate) const PROXY_CORE: usize = 0;
/// … and whatever they are measured with has the other.
pub(crate) const LOAD_CORE: usize = 1;

/// What the ingress is called.
pub(crate) const OURS: &str = "meshlite";
/// And the others. The last ones take minutes to build, and are left out of a quick run.
pub(crate) const PEERS: [&str; 5] = ["nginx", "haproxy", "envoy", "pingora", "caddy"];
/// What no proxy in user space can be cheaper than.
pub(crate) const FLOOR: &str = "relay";

/// A proxy that is measured.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) process: Process,
    pub(crate) ports: Ports,
    pub(crate) sessions: Sessions,
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
    pub(crate) logged: Option<u16>,
    /// Metrics, and their path; at 127.0.0.1.
    pub(crate) metrics: Option<(u16, &'static str)>,
}

/// What runs at once.
#[derive(Debug)]
pub(crate) struct Stage {
    proxies: Vec<Proxy>,
    pub(crate) control: Control,
    /// Why some of the others are not there.
    pub(crate) missing: BTreeMap<&'static str, String>,
    /// Another ingress, which writes an access log, where there is one: nginx and others need a listener only.
    logging: Option<Proxy>,
    _origin: Process,
}

/// A control plane with its manifests, and what it needs.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) folder: TempDir,
    pub(crate) grpc: u16,
    http: u16,
    https: u16,
    _process: Process,
}

impl Stage {
    /// Starts everything, with so many routes; those to all origins and what writes an access log if it `has_all`.
    pub(crate) async fn set(plan: &Plan, routes: usize, has_all: bool) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = own_address()?;
        let (app, grpc) = origin::start(address)?;
        let origins = Origins {
            address,
            web: free_port()?,
            app,
            grpc,
        };
        let hosts = objects::table(routes, has_all);
        write_routes(folder.path(), &hosts, origins)?;
        let identity = rcgen::generate_simple_self_signed([objects::HOST.to_owned()])?;
        let (certificate, key) = (identity.cert.pem(), identity.signing_key.serialize_pem());
        fs::write(
            folder.path().join("pair.pem"),
            format!("{certificate}{key}"),
        )?;
        let served = peers::origin(folder.path(), origins.of(Origin::Web))?;
        let control = Control::start(folder, &hosts, origins, &certificate, &key).await?;
        let mut proxies = vec![
            control
                .ingress(OURS, "127.0.0.1", control.grpc, &[], &[])
                .await?,
        ];
        let logging = if has_all {
            let more = ["--access-log", "combined"];
            let mut logging = control
                .ingress("logging", "127.0.0.2", control.grpc, &[], &more)
                .await?;
            (logging.name, logging.ports.logged) = (OURS, Some(logging.ports.http));
            Some(logging)
        } else {
            None
        };
        let (others, missing) = peers::start(plan, control.folder.path(), &hosts, origins).await?;
        proxies.extend(others);
        Ok(Self {
            proxies,
            control,
            missing,
            logging,
            _origin: served,
        })
    }

    pub(crate) fn all(&self) -> Vec<&Proxy> {
        self.proxies.iter().collect()
    }

    /// Those that a load is put on.
    pub(crate) fn under(&self, load: Load) -> Vec<&Proxy> {
        let mut proxies = self.all();
        proxies.retain(|proxy| proxy.name != FLOOR || load.is_for_the_floor());
        if let (Load::Logged(_), Some(ours), Some(logging)) =
            (load, proxies.first_mut(), &self.logging)
        {
            *ours = logging;
        }
        proxies
    }

    /// The one of this name, if it is there.
    pub(crate) fn of(&self, name: &str) -> Option<&Proxy> {
        self.proxies.iter().find(|proxy| proxy.name == name)
    }

    /// Where files are kept.
    pub(crate) fn folder(&self) -> PathBuf {
        self.control.folder.path().to_owned()
    }
}

/// A line for each route: `HOST PREFIX ADDRESS PROTOCOL`.
fn write_routes(folder: &Path, hosts: &[Host], origins: Origins) -> anyhow::Result<()> {
    let mut lines = String::new();
    for host in hosts {
        for (prefix, origin) in &host.routes {
            let protocol = match origin {
                Origin::Web | Origin::App => "h1",
                Origin::Grpc => "h2",
            };
            let at = origins.of(*origin);
            writeln!(lines, "{} {prefix} {at} {protocol}", host.name)?;
        }
    }
    Ok(fs::write(folder.join("routes"), lines)?)
}

impl Proxy {
    pub(crate) fn http(&self) -> String {
        self.url("http", self.ports.http, objects::PATH)
    }

    pub(crate) fn https(&self) -> String {
        self.url("https", self.ports.https, objects::PATH)
    }

    pub(crate) fn url(&self, scheme: &str, port: u16, path: &str) -> String {
        format!("{scheme}://{}:{port}{path}", self.ports.address)
    }
}

impl Control {
    async fn start(
        folder: TempDir,
        hosts: &[Host],
        origins: Origins,
        certificate: &str,
        key: &str,
    ) -> anyhow::Result<Self> {
        let manifests = folder.path().join("manifests");
        fs::create_dir(&manifests)?;
        objects::write(&manifests, hosts, origins, certificate, key)?;
        let (grpc, admin, http, https) = (free_port()?, free_port()?, free_port()?, free_port()?);
        let log = folder.path().join("control-plane.log");
        // What it does while changes come must not keep a client or an origin from its core.
        let arguments = [
            "--idle".to_owned(),
            "0".to_owned(),
            sibling("meshlite")?.display().to_string(),
            "control-plane".to_owned(),
            format!("--manifests={}", manifests.display()),
            format!("--listen=127.0.0.1:{grpc}"),
            format!("--admin-listen=127.0.0.1:{admin}"),
            format!("--ingress-http-port={http}"),
            format!("--ingress-https-port={https}"),
            "--default-certificate=default/certificate".to_owned(),
            "--insecure".to_owned(),
        ];
        let process = pinned(LOAD_CORE, Path::new("chrt"), arguments, &log)?;
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

    /// Starts an ingress on an address of its own, with one worker as it has one core, and waits until it serves. It follows a control plane
    /// at this port of 127.0.0.1; `runner` is what runs it.
    pub(crate) async fn ingress(
        &self,
        name: &'static str,
        address: &'static str,
        control_plane: u16,
        runner: &[&str],
        more: &[&str],
    ) -> anyhow::Result<Proxy> {
        let admin = free_port()?;
        let log = self.folder.path().join(format!("{name}.log"));
        let program = sibling("meshlite")?.display().to_string();
        let grpc = format!("http://127.0.0.1:{control_plane}");
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
                logged: None,
                metrics: Some((admin, "/metrics")),
            },
            sessions: Sessions::new()?,
        })
    }
}

/// Starts a program on one core. What it prints is thrown away, as a file would take it, and what it logs is kept.
pub(crate) fn pinned(
    core: usize,
    program: &Path,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    log: &Path,
) -> anyhow::Result<Process> {
    let script = "exec taskset -c \"$@\" >/dev/null";
    let core = core.to_string();
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

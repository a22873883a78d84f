//! What a node is to be programmed with, and where that is served: it can be told to a virtual machine.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use meshlite_tests::process::{Process, free_port, sibling, wait_until_ready};
use serde::{Deserialize, Serialize};

use crate::{
    director::Remote,
    objects::{SERVICES, Size},
    source::Source,
};

/// Objects, and who serves them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scene {
    pub(crate) size: Size,
    pub(crate) control_plane: SocketAddr,
    /// Where there is one.
    pub(crate) api_server: Option<SocketAddr>,
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) remote: Remote,
}

// === impl Scene ===

impl Scene {
    /// The same as a virtual machine sees it, to which this machine's loopback has another address.
    pub(crate) fn seen_from(&self, loopback: IpAddr) -> Self {
        let seen = |address: SocketAddr| SocketAddr::new(loopback, address.port());
        Self {
            control_plane: seen(self.control_plane),
            api_server: self.api_server.map(seen),
            remote: Remote(seen(self.remote.0)),
            ..self.clone()
        }
    }
}

/// A control plane on a source.
pub(crate) struct ControlPlane {
    pub(crate) scene: Scene,
    _process: Process,
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(
        source: &Arc<Source>,
        remote: Remote,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let (grpc, admin) = (free_port()?, free_port()?);
        let arguments = [
            // It ends with this process, in whatever way that ends.
            "--pdeathsig=KILL".to_owned(),
            sibling("meshlite")?.display().to_string(),
            "control-plane".to_owned(),
            source.flag(),
            format!("--listen=127.0.0.1:{grpc}"),
            format!("--admin-listen=127.0.0.1:{admin}"),
            format!("--service-cidr={SERVICES}"),
            "--insecure".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        let log = folder.join("control-plane.log");
        let process = Process::start(Path::new("setpriv"), arguments, &log)?;
        wait_until_ready(admin, "/readyz", &log).await?;
        let api = source.api();
        let scene = Scene {
            size: source.size,
            control_plane: SocketAddr::from(([127, 0, 0, 1], grpc)),
            api_server: api.map(|api| SocketAddr::from(([127, 0, 0, 1], api.port()))),
            kubeconfig: api.map(|api| api.kubeconfig().to_owned()),
            remote,
        };
        Ok(Self {
            scene,
            _process: process,
        })
    }
}

//! Pingora, as the minimal proxy in tests/benches/l7-pingora; it has neither an access log nor metrics.

use std::path::Path;

use super::Setting;
use crate::{
    clients::Sessions,
    stage::{PROXY_CORE, Ports, Proxy, pinned},
};

pub(super) fn start(program: &Path, setting: Setting<'_>) -> anyhow::Result<Proxy> {
    let ports = Ports {
        logged: None,
        ..setting.ports
    };
    let routes = setting.folder.join("routes").display().to_string();
    let listens = [ports.http, ports.https, ports.h2c].map(|port| port.to_string());
    let arguments = [setting.pair(), routes].into_iter().chain(listens);
    let log = setting.folder.join("pingora.log");
    Ok(Proxy {
        name: "pingora",
        process: pinned(PROXY_CORE, program, arguments, &log)?,
        ports,
        sessions: Sessions::new()?,
    })
}

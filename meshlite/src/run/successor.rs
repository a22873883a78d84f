//! A new process of this program in place of this one: started on SIGHUP, and made known to systemd.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    process,
};

use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};
use tracing::{info, warn};

/// Where systemd hears of services of type `notify`.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
/// The first process of a container: all others end with it.
const FIRST: u32 = 1;

/// On each SIGHUP, starts this program anew as it was started, from where it is installed now.
pub(super) async fn start_on_hangup() {
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => {
            warn!(%error, "SIGHUP is not handled");
            return;
        }
    };
    while hangups.recv().await.is_some() {
        if process::id() == FIRST {
            warn!(
                "no successor is started: this container would end with its first process; start another Pod that has the same --takeover"
            );
            continue;
        }
        let mut child = match successor() {
            Ok(child) => child,
            Err(error) => {
                warn!(%error, "no successor can be started");
                continue;
            }
        };
        info!(pid = child.id(), "a successor was started");
        // It outlives this process, unless something is wrong with it.
        match child.wait().await {
            Ok(status) => warn!(%status, "the successor has ended; this process goes on"),
            Err(error) => warn!(%error, "nothing is known of the successor"),
        }
    }
}

fn successor() -> io::Result<Child> {
    let mut words = env::args_os();
    let program = words.next().unwrap_or_default();
    Command::new(program).args(words).spawn()
}

/// Tells systemd, where it asks for it, that this process is the service and is ready.
pub(super) fn tell_supervisor() -> io::Result<()> {
    let Some(path) = env::var_os(NOTIFY_SOCKET) else {
        return Ok(());
    };
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&path)?,
    };
    let text = format!("MAINPID={}\nREADY=1\n", process::id());
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address)?;
    Ok(())
}

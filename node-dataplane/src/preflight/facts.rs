//! What of a host decides whether a node can serve on it, read once.

use std::{fs, ops::RangeInclusive, path::Path};

use meshlite_nft::{ChainKey, Nftables};
use meshlite_snapshot::Protocol;

use super::ports;
use crate::{
    Config,
    cleanup::{self, Found},
    host::{
        firewalls::{self, ForwardDrop},
        listeners::{self, Listener},
        modules::{self, Modules},
        processes::{Process, Processes},
        sysctl::{self, KernelVersion},
    },
    init,
    mode::{self, Backend, Choice},
};

/// Where the kernel names the tables of legacy iptables.
const LEGACY: [&str; 2] = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"];

/// What decides. What could not be read has the reason in its place.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) kernel: Result<KernelVersion, String>,
    /// Effective capabilities of this process, a bit for each.
    pub(super) capabilities: Result<u64, String>,
    /// What would carry the traffic.
    pub(super) choice: Result<Choice, String>,
    pub(super) modules: Vec<modules::Report>,
    pub(super) sysctls: Vec<sysctl::Report>,
    /// Programs in this network namespace.
    pub(super) processes: Vec<Process>,
    /// What proxies that use the kernel leave.
    pub(super) state: Result<Found, String>,
    /// Chains of nftables, those of `iptables-nft` too.
    pub(super) chains: Result<Vec<ChainKey>, String>,
    pub(super) forward_drops: Result<Vec<ForwardDrop>, String>,
    /// Tables of the iptables before nftables, which only its own program can list.
    pub(super) legacy_tables: Vec<String>,
    /// Sockets at ports that matter.
    pub(super) sockets: Result<Vec<Socket>, String>,
}

/// A socket, and who has it open, if that may be seen.
#[derive(Clone, Debug)]
pub(super) struct Socket {
    pub(super) listener: Listener,
    pub(super) holder: Option<Process>,
}

impl Facts {
    /// Reads them. Tries what the mode takes, which loads its modules.
    pub(super) fn collect(config: &Config, node_ports: &RangeInclusive<u16>) -> Self {
        let choice = mode::choose(config).map_err(|error| error.to_string());
        let ipvs = matches!(&choice, Ok(choice) if choice.backend == Backend::Ipvs);
        // Who may not be seen is only left out of what is said.
        let processes = Processes::read().unwrap_or_default();
        let sockets = listeners::all(|protocol, port| {
            node_ports.contains(&port)
                || (protocol == Protocol::Tcp && ports::is_of_interest(config, port))
        });
        let sockets = sockets.map(|sockets| {
            let socket = |(listener, inode)| Socket {
                listener,
                holder: processes.holder(inode).cloned(),
            };
            sockets.into_iter().map(socket).collect()
        });
        Self {
            kernel: KernelVersion::of_host().map_err(|error| error.to_string()),
            capabilities: capabilities(),
            choice,
            modules: Modules::of_host().load(&init::wanted_modules(config.mode)),
            sysctls: sysctl::check(Path::new(sysctl::ROOT), init::wanted_sysctls(config, ipvs)),
            state: cleanup::find(),
            chains: chains(),
            forward_drops: forward_drops(),
            legacy_tables: legacy_tables(),
            sockets: sockets.map_err(|error| error.to_string()),
            processes: processes.all,
        }
    }
}

fn capabilities() -> Result<u64, String> {
    let status =
        fs::read_to_string("/proc/thread-self/status").map_err(|error| error.to_string())?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = effective.map(|mask| u64::from_str_radix(mask.trim(), 16));
    match mask {
        Some(Ok(mask)) => Ok(mask),
        _ => Err("/proc/thread-self/status does not say them".to_owned()),
    }
}

/// A kernel without nftables has none.
fn chains() -> Result<Vec<ChainKey>, String> {
    match Nftables::connect().and_then(|mut nftables| nftables.chains()) {
        Ok(chains) => Ok(chains.into_iter().map(|entry| entry.chain.key).collect()),
        Err(meshlite_nft::Error::NotSupported(_)) => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
    }
}

fn forward_drops() -> Result<Vec<ForwardDrop>, String> {
    match Nftables::connect() {
        Ok(mut nftables) => {
            firewalls::forward_drops(&mut nftables).map_err(|error| error.to_string())
        }
        Err(meshlite_nft::Error::NotSupported(_)) => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
    }
}

fn legacy_tables() -> Vec<String> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut names: Vec<_> = LEGACY
        .iter()
        .flat_map(|path| read(path).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    names.sort();
    names.dedup();
    names
}

//! Settings of the kernel that carrying Services takes: which, why, and whether they are so.

#[cfg(test)]
mod tests;

use std::{fmt, fs, io, path::Path, str::FromStr, time::Duration};

use tracing::{info, warn};

use crate::config::Conntrack;

/// Where the kernel has them.
pub(crate) const ROOT: &str = "/proc/sys";

/// A setting, and what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sysctl {
    /// Its path below `/proc/sys`.
    pub(crate) path: &'static str,
    /// What it should be.
    pub(crate) wanted: Wanted,
    /// What for.
    pub(crate) why: &'static str,
    /// Whether Services are not served right without it.
    pub(crate) is_needed: bool,
}

/// What a setting should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// This.
    Exactly(u64),
    /// This or more: what somebody set higher stays.
    AtLeast(u64),
}

/// What the list depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wants<'a> {
    /// IPVS carries the traffic.
    pub(crate) ipvs: bool,
    /// Only the interface that has an address answers ARP for it.
    pub(crate) strict_arp: bool,
    /// The limits of connection tracking.
    pub(crate) conntrack: &'a Conntrack,
    /// CPUs of this host.
    pub(crate) cpus: u32,
    /// Of Linux.
    pub(crate) kernel: KernelVersion,
}

/// A version of Linux, as far as it matters: 6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KernelVersion(pub(crate) u32, pub(crate) u32);

/// A text that begins with no version.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no version of Linux")]
pub(crate) struct InvalidKernelVersion(String);

/// A setting as it was found, and what was done about it.
#[derive(Debug)]
pub(crate) struct Report {
    /// The setting.
    pub(crate) sysctl: Sysctl,
    /// What became of it.
    pub(crate) outcome: Outcome,
}

/// What became of a setting.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was as it should be already.
    AsWanted,
    /// It was set. What it was before is here.
    Set(u64),
    /// It is not as it should be, and was left so, as was asked for.
    Left(u64),
    /// The kernel has no such setting: its module is not loaded, or this Linux is too old or too new for it.
    Absent,
    /// It could not be read or set.
    Failed(io::Error),
}

/// The settings that are wanted, in the order in which they are set. There is no `route_localnet` among them: no traffic
/// from elsewhere gets to 127.0.0.1.
pub(crate) fn wanted(wants: &Wants<'_>) -> Vec<Sysctl> {
    let mut list = vec![needed(
        "net/ipv4/ip_forward",
        1,
        "packets of Pods and of outside clients are passed on to endpoints",
    )];
    if wants.ipvs {
        list.extend(of_ipvs(wants.kernel));
    }
    if wants.strict_arp {
        list.extend([
            needed(
                "net/ipv4/conf/all/arp_ignore",
                1,
                "strictARP: only the interface that has an address answers ARP for it",
            ),
            needed(
                "net/ipv4/conf/all/arp_announce",
                2,
                "strictARP: ARP is asked with an address of the network that is asked in",
            ),
        ]);
    }
    list.extend(of_conntrack(wants.conntrack, wants.cpus));
    list
}

fn of_ipvs(kernel: KernelVersion) -> Vec<Sysctl> {
    let mut list = vec![
        needed(
            "net/ipv4/vs/conntrack",
            1,
            "connections through IPVS are tracked, so that they can be masqueraded",
        ),
        exactly(
            "net/ipv4/vs/expire_nodest_conn",
            1,
            "a connection to an endpoint that is gone ends at its next packet, instead of its packets being dropped",
        ),
        exactly(
            "net/ipv4/vs/expire_quiescent_template",
            1,
            "a persistent client of an endpoint that takes no new connections is given another endpoint",
        ),
    ];
    if (KernelVersion(4, 1)..KernelVersion(5, 9)).contains(&kernel) {
        list.push(exactly(
            "net/ipv4/vs/conn_reuse_mode",
            0,
            "on Linux before 5.9, a client port that is used again costs a second otherwise",
        ));
    }
    if kernel < KernelVersion(6, 2) {
        list.push(exactly(
            "net/ipv4/vs/run_estimation",
            0,
            "on Linux before 6.2, rates of thousands of virtual servers are estimated in one go, which delays packets",
        ));
    }
    list
}

/// As kube-proxy has them: timeouts as they are configured, and room for connections at least.
fn of_conntrack(conntrack: &Conntrack, cpus: u32) -> Vec<Sysctl> {
    let mut list = Vec::new();
    let most = conntrack.max_per_core.saturating_mul(cpus);
    if most > 0 {
        list.push(at_least(
            "net/netfilter/nf_conntrack_max",
            most.max(conntrack.min).into(),
            "so many connections can be tracked at once; beyond, packets are dropped",
        ));
    }
    let timeouts = [
        (
            "net/netfilter/nf_conntrack_tcp_timeout_established",
            conntrack.tcp_established_timeout,
            "an idle TCP connection is tracked for so long, in seconds",
        ),
        (
            "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
            conntrack.tcp_close_wait_timeout,
            "a half-closed TCP connection is tracked for so long, in seconds",
        ),
        (
            "net/netfilter/nf_conntrack_udp_timeout",
            conntrack.udp_timeout,
            "a UDP flow without answers is tracked for so long, in seconds",
        ),
        (
            "net/netfilter/nf_conntrack_udp_timeout_stream",
            conntrack.udp_stream_timeout,
            "a UDP flow with answers is tracked for so long, in seconds",
        ),
    ];
    for (path, timeout, why) in timeouts {
        let seconds = timeout.map_or(0, |timeout: Duration| timeout.as_secs());
        if seconds > 0 {
            list.push(exactly(path, seconds, why));
        }
    }
    if conntrack.tcp_be_liberal {
        list.push(exactly(
            "net/netfilter/nf_conntrack_tcp_be_liberal",
            1,
            "TCP segments out of window are tracked, instead of being called invalid",
        ));
    }
    list
}

const fn needed(path: &'static str, value: u64, why: &'static str) -> Sysctl {
    Sysctl {
        is_needed: true,
        ..exactly(path, value, why)
    }
}

const fn exactly(path: &'static str, value: u64, why: &'static str) -> Sysctl {
    Sysctl {
        path,
        wanted: Wanted::Exactly(value),
        why,
        is_needed: false,
    }
}

const fn at_least(path: &'static str, value: u64, why: &'static str) -> Sysctl {
    Sysctl {
        path,
        wanted: Wanted::AtLeast(value),
        why,
        is_needed: false,
    }
}

/// Sets what is not as it should be, below this folder.
pub(crate) fn set(root: &Path, list: Vec<Sysctl>) -> Vec<Report> {
    each(root, list, |path, sysctl, found| {
        match fs::write(path, sysctl.wanted.value().to_string()) {
            Ok(()) => Outcome::Set(found),
            Err(error) => Outcome::Failed(error),
        }
    })
}

/// Says what is not as it should be, and sets nothing.
pub(crate) fn check(root: &Path, list: Vec<Sysctl>) -> Vec<Report> {
    each(root, list, |_, _, found| Outcome::Left(found))
}

fn each(
    root: &Path,
    list: Vec<Sysctl>,
    mend: impl Fn(&Path, &Sysctl, u64) -> Outcome,
) -> Vec<Report> {
    let outcome = |sysctl: &Sysctl| {
        let path = root.join(sysctl.path);
        match read(&path) {
            Ok(found) if sysctl.wanted.is_met_by(found) => Outcome::AsWanted,
            Ok(found) => mend(&path, sysctl, found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Outcome::Absent,
            Err(error) => Outcome::Failed(error),
        }
    };
    list.into_iter()
        .map(|sysctl| Report {
            outcome: outcome(&sysctl),
            sysctl,
        })
        .collect()
}

fn read(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    let number = text.trim().parse();
    number.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

// === impl Wanted ===

impl Wanted {
    /// What is written.
    pub(crate) const fn value(self) -> u64 {
        match self {
            Self::Exactly(value) | Self::AtLeast(value) => value,
        }
    }

    const fn is_met_by(self, found: u64) -> bool {
        match self {
            Self::Exactly(value) => found == value,
            Self::AtLeast(value) => found >= value,
        }
    }
}

// === impl KernelVersion ===

impl KernelVersion {
    /// That of this host.
    pub(crate) fn of_host() -> io::Result<Self> {
        let text = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        text.parse()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl FromStr for KernelVersion {
    type Err = InvalidKernelVersion;

    fn from_str(text: &str) -> Result<Self, InvalidKernelVersion> {
        let mut numbers = text
            .split(|c: char| !c.is_ascii_digit())
            .map_while(|number| number.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(major), Some(minor)) => Ok(Self(major, minor)),
            _ => Err(InvalidKernelVersion(text.trim().to_owned())),
        }
    }
}

// === impl Report ===

impl Report {
    /// Writes to the log what is worth it.
    pub(crate) fn log(&self) {
        let Sysctl {
            path, wanted, why, ..
        } = self.sysctl;
        let value = wanted.value();
        match &self.outcome {
            Outcome::AsWanted | Outcome::Absent => {}
            Outcome::Set(before) => info!(sysctl = path, before, value, why, "Set a sysctl"),
            Outcome::Left(found) => {
                warn!(
                    sysctl = path,
                    found,
                    wanted = value,
                    why,
                    "A sysctl is not as it should be, and was left so"
                );
            }
            Outcome::Failed(error) => {
                warn!(sysctl = path, wanted = value, %error, why, "A sysctl cannot be set");
            }
        }
    }

    /// Whether something is missing that somebody should know of.
    pub(crate) fn is_amiss(&self) -> bool {
        matches!(self.outcome, Outcome::Left(_) | Outcome::Failed(_))
    }
}

/// As `node init` says it.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sysctl {
            path, wanted, why, ..
        } = self.sysctl;
        let value = wanted.value();
        match &self.outcome {
            Outcome::AsWanted => write!(f, "sysctl {path} is as it should be: {why}"),
            Outcome::Set(before) => write!(f, "sysctl {path} = {value} (was {before}): {why}"),
            Outcome::Left(found) => write!(
                f,
                "sysctl {path} is {found}, should be {value}, and was left so: {why}"
            ),
            Outcome::Absent => write!(f, "sysctl {path}: this kernel has none"),
            Outcome::Failed(error) => {
                write!(
                    f,
                    "sysctl {path} cannot be set to {value}: {error}; set it on the host: {why}"
                )
            }
        }
    }
}

//! What the kernel has: the same question to it, whoever programs it. Nobody is asked for their own word.
//!
//! | who | what is counted | when |
//! |---|---|---|
//! | nftables | the elements of the map whose keys are Services | each time that the ruleset has another generation |
//! | IPVS | destinations with a weight of each virtual server, the last one first, until one lacks some | a fifth of the time, so that it takes little from the others |
//! | user space | sockets that listen on the Services' port | as IPVS |

use std::{
    collections::BTreeSet,
    fs, io, thread,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use meshlite_ipvs::{Ipvs, Protocol, ServiceKey};
use meshlite_nft::{Family, Generation, InvalidName, Nftables, SetKey, TableKey};
use meshlite_tests::world::{Host, Process};

use crate::objects::{PORT, Size, vip};

/// How long anything is waited for.
const LIMIT: Duration = Duration::from_mins(6);

/// What programs a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proxy {
    Ours(Mode),
    KubeProxy(Mode),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Userspace,
    Nftables,
    Ipvs,
}

// === impl Mode ===

impl Mode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Userspace => "userspace",
            Self::Nftables => "nftables",
            Self::Ipvs => "ipvs",
        }
    }
}

// === impl Proxy ===

impl Proxy {
    pub(crate) const fn mode(self) -> Mode {
        match self {
            Self::Ours(mode) | Self::KubeProxy(mode) => mode,
        }
    }

    /// Its map of Services.
    fn services(self) -> Result<SetKey, InvalidName> {
        let (family, table, set) = match self {
            Self::Ours(_) => (Family::Inet, "meshlite", "servers-ip"),
            Self::KubeProxy(_) => (Family::Ipv4, "kube-proxy", "service-ips"),
        };
        let name = table.parse()?;
        Ok(TableKey { family, name }.set(set.parse()?))
    }
}

/// One node's kernel.
pub(crate) struct Watch<'a> {
    host: &'a Host,
    proxy: Proxy,
    nftables: Option<Nftables>,
    ipvs: Option<Ipvs>,
    generation: Option<Generation>,
    /// Of IPVS: how many Services, from the first on, were not seen with all their endpoints yet.
    unseen: Option<u32>,
}

// === impl Watch ===

impl<'a> Watch<'a> {
    pub(crate) fn new(host: &'a Host, proxy: Proxy) -> anyhow::Result<Self> {
        let inside = host.namespace();
        let nftables = match proxy.mode() {
            Mode::Nftables => Some(inside.run(Nftables::connect)?),
            Mode::Ipvs | Mode::Userspace => None,
        };
        let ipvs = match proxy.mode() {
            Mode::Ipvs => Some(inside.run(Ipvs::connect)?),
            Mode::Nftables | Mode::Userspace => None,
        };
        Ok(Self {
            host,
            proxy,
            nftables,
            ipvs,
            generation: None,
            unseen: None,
        })
    }

    /// Waits until all of it is there, while the proxy runs, and says when, to a fiftieth of the time that it takes: who
    /// looks more often takes the processor from what is measured.
    pub(crate) fn until_all(&mut self, size: Size, proxy: &Process) -> anyhow::Result<Instant> {
        let services = usize::try_from(size.services)?;
        let begun = Instant::now();
        let deadline = begun + LIMIT;
        let mut nearest = 0;
        while Instant::now() < deadline {
            ensure!(!proxy.has_ended(), "{:?} has ended", self.proxy);
            let asked = Instant::now();
            if self.has_changed()
                && let Ok(count) = self.count(size)
            {
                if count >= services {
                    // Before it was counted, which is no part of the work.
                    return Ok(asked);
                }
                nearest = count;
            }
            pause((asked.elapsed() * 4).max(begun.elapsed() / 50));
        }
        bail!(
            "{:?}: not all is there after {LIMIT:?}: {nearest} of {services}",
            self.proxy
        )
    }

    /// How many Services there are.
    fn count(&mut self, size: Size) -> anyhow::Result<usize> {
        match (&mut self.nftables, &mut self.ipvs) {
            (Some(nftables), _) => Ok(nftables.elements(&self.proxy.services()?)?.len()),
            (None, Some(ipvs)) => {
                let unseen = self.unseen.get_or_insert(size.services);
                while let Some(number) = unseen.checked_sub(1) {
                    if serving(ipvs, number)?.len() < size.endpoints_of(number).len() {
                        break;
                    }
                    *unseen = number;
                }
                Ok(usize::try_from(size.services - *unseen)?)
            }
            (None, None) => {
                let listening = |line: &&str| {
                    let mut words = line.split_whitespace().skip(1);
                    let local = words.next().and_then(|local| local.rsplit(':').next());
                    local == Some(&format!("{PORT:04X}")) && words.nth(1) == Some("0A")
                };
                let tcp = self.proc_net("tcp")? + &self.proc_net("tcp6")?;
                Ok(tcp.lines().filter(listening).count())
            }
        }
    }

    fn proc_net(&self, file: &str) -> io::Result<String> {
        let path = format!("/proc/thread-self/net/{file}");
        self.host.namespace().run(|| fs::read_to_string(path))
    }

    /// Whether the ruleset is another than when it was asked last; without one, always.
    fn has_changed(&mut self) -> bool {
        let Some(nftables) = &mut self.nftables else {
            return true;
        };
        let generation = nftables.generation().ok();
        let changed = generation != self.generation;
        self.generation = generation;
        changed
    }

    /// Changes a Service, waits until the kernel has it so, and says how long that took. What changes it says its number:
    /// the first is given another endpoint, all others are new.
    pub(crate) fn time(
        &mut self,
        size: Size,
        work: impl FnOnce() -> anyhow::Result<u32>,
    ) -> anyhow::Result<Duration> {
        let first = self.state(size, 0)?;
        self.has_changed();
        let started = Instant::now();
        let number = work()?;
        // Where each Service is looked at by itself, a new one has nothing before.
        let before = if number > 0 && self.ipvs.is_some() {
            BTreeSet::new()
        } else {
            first
        };
        let deadline = started + LIMIT;
        while Instant::now() < deadline {
            let asked = Instant::now();
            if self.has_changed() && self.state(size, number)? != before {
                return Ok(asked.duration_since(started));
            }
            pause(asked.elapsed());
        }
        bail!("{:?}: nothing changed within {LIMIT:?}", self.proxy)
    }

    /// What differs once a Service is changed, or is there. It costs the same however many others there are, so that it
    /// takes nothing from who makes the change.
    fn state(&mut self, size: Size, number: u32) -> anyhow::Result<BTreeSet<String>> {
        if let Some(nftables) = &mut self.nftables {
            let generation = nftables.generation()?;
            return Ok([format!("{generation:?}")].into());
        }
        match &mut self.ipvs {
            Some(ipvs) => serving(ipvs, number),
            None => Ok([self.count(size)?.to_string()].into()),
        }
    }
}

/// Destinations of a Service that get new connections. By netlink: what `/proc/net/ip_vs` shows has gaps while other
/// namespaces have virtual servers.
fn serving(ipvs: &mut Ipvs, number: u32) -> anyhow::Result<BTreeSet<String>> {
    let key = ServiceKey::address(Protocol::TCP, (vip(number), PORT).into());
    let destinations = ipvs.destinations(key)?;
    let serving = destinations
        .iter()
        .filter(|entry| entry.destination.settings.weight > 0);
    Ok(serving
        .map(|entry| format!("{:?}", entry.destination.key))
        .collect())
}

/// At least a millisecond.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own, and no runtime"
)]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time.max(Duration::from_millis(1)));
}

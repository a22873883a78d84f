//! What the kernel has: the same question to it, whoever programs it. Nobody is asked for their own word.
//!
//! | who | what is counted | when |
//! |---|---|---|
//! | nftables | the elements of the map whose keys are Services | each time that the ruleset has another generation |
//! | IPVS | virtual servers, and once all are there, their destinations with a weight | a fifth of the time, so that it takes little from the others |
//! | user space | sockets that listen on the Services' port | as IPVS |

use std::{
    collections::BTreeSet,
    fs, io, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
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

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) services: usize,
    /// Where it can be told.
    pub(crate) endpoints: Option<usize>,
}

/// One node's kernel.
pub(crate) struct Watch<'a> {
    host: &'a Host,
    proxy: Proxy,
    nftables: Option<Nftables>,
    ipvs: Option<Ipvs>,
    generation: Option<Generation>,
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
        })
    }

    /// Waits until all of it is there, while the proxy runs, and says when.
    pub(crate) fn until_all(&mut self, size: Size, proxy: &Process) -> anyhow::Result<Instant> {
        let services = usize::try_from(size.services)?;
        let endpoints = usize::try_from(size.all_endpoints())?;
        let deadline = Instant::now() + LIMIT;
        let mut nearest = Count::default();
        while Instant::now() < deadline {
            ensure!(!proxy.has_ended(), "{:?} has ended", self.proxy);
            let asked = Instant::now();
            if self.has_changed()
                && let Ok(count) = self.count(services)
            {
                if count.services >= services && count.endpoints.is_none_or(|e| e >= endpoints) {
                    // Before it was counted, which is no part of the work.
                    return Ok(asked);
                }
                nearest = count;
            }
            pause(asked.elapsed() * 4);
        }
        bail!(
            "{:?}: not all is there after {LIMIT:?}: {nearest:?}",
            self.proxy
        )
    }

    /// How much there is now. Endpoints are counted once there are so many Services.
    fn count(&mut self, wanted: usize) -> anyhow::Result<Count> {
        match (&mut self.nftables, &mut self.ipvs) {
            (Some(nftables), _) => {
                let services = nftables.elements(&self.proxy.services()?)?.len();
                let endpoints = None;
                Ok(Count {
                    services,
                    endpoints,
                })
            }
            (None, Some(ipvs)) => count_ipvs(ipvs, wanted),
            (None, None) => {
                let listening = |line: &&str| {
                    let mut words = line.split_whitespace().skip(1);
                    let local = words.next().and_then(|local| local.rsplit(':').next());
                    local == Some(&format!("{PORT:04X}")) && words.nth(1) == Some("0A")
                };
                let tcp = self.proc_net("tcp")? + &self.proc_net("tcp6")?;
                Ok(Count {
                    services: tcp.lines().filter(listening).count(),
                    endpoints: None,
                })
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

    /// Does something, waits until the kernel has a Service or an endpoint more or another, and says how long that took.
    pub(crate) fn time(
        &mut self,
        work: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Duration> {
        let before = self.state()?;
        self.has_changed();
        let started = Instant::now();
        work()?;
        let deadline = started + LIMIT;
        while Instant::now() < deadline {
            let asked = Instant::now();
            if self.has_changed() && self.state()? != before {
                return Ok(asked.duration_since(started));
            }
            pause(asked.elapsed());
        }
        bail!("{:?}: nothing changed within {LIMIT:?}", self.proxy)
    }

    /// What differs after one change, and is cheap to ask for.
    fn state(&mut self) -> anyhow::Result<BTreeSet<String>> {
        if let Some(nftables) = &mut self.nftables {
            let generation = nftables.generation()?;
            return Ok([format!("{generation:?}")].into());
        }
        let Some(ipvs) = &mut self.ipvs else {
            return Ok([format!("{:?}", self.count(0)?)].into());
        };
        let first = ServiceKey::address(Protocol::TCP, (vip(0), PORT).into());
        let destinations = ipvs.destinations(first).context("the first Service")?;
        let serving = destinations
            .iter()
            .filter(|entry| entry.destination.settings.weight > 0);
        let mut state: BTreeSet<_> = serving
            .map(|entry| format!("{:?}", entry.destination.key))
            .collect();
        state.insert(ipvs.services()?.len().to_string());
        Ok(state)
    }
}

/// By netlink: what `/proc/net/ip_vs` shows has gaps while other namespaces have virtual servers. As soon as one of those
/// that are wanted cannot have a destination yet, no more are looked at.
fn count_ipvs(ipvs: &mut Ipvs, wanted: usize) -> anyhow::Result<Count> {
    let services = ipvs.services()?;
    let mut endpoints = 0;
    // An API server has a Service of its own, without endpoints.
    let Some(mut others) = services.len().checked_sub(wanted) else {
        return Ok(Count {
            services: services.len(),
            endpoints: Some(0),
        });
    };
    for entry in &services {
        let destinations = ipvs.destinations(entry.service.key)?;
        let serving = destinations
            .iter()
            .filter(|entry| entry.destination.settings.weight > 0);
        let serving = serving.count();
        endpoints += serving;
        if serving == 0 {
            let Some(left) = others.checked_sub(1) else {
                break;
            };
            others = left;
        }
    }
    Ok(Count {
        services: services.len(),
        endpoints: Some(endpoints),
    })
}

/// At least a millisecond.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own, and no runtime"
)]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time.max(Duration::from_millis(1)));
}

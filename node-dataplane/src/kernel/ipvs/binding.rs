//! How packets for virtual addresses come to IPVS: each address on a dummy link, or a `local` route to it.
//!
//! IPVS sees what the host takes for its own. An address of a link and a `local` route do that alike: the host answers
//! echo requests, and in IPv4 ARP, for it. They differ in what people see (`ip address` or `ip route show table local`), in
//! IPv6 in the source of the host's own connections, and in what they cost: see [`VipBinding`].

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use tracing::debug;

use crate::{
    config::VipBinding,
    host::{HostError, LOOPBACK, LinkAddress, Network, Undone},
    kernel::KernelError,
};

/// The link, as kube-proxy calls it.
pub(crate) const LINK: &str = "kube-ipvs0";

/// Virtual addresses of this host.
#[derive(Debug)]
pub(super) struct Binding {
    network: Network,
    how: VipBinding,
    /// Whether the link is there, or cannot be.
    is_link_settled: bool,
    /// Bound in the way that was asked for.
    bound: BTreeSet<IpAddr>,
    /// Bound in the other way, by an earlier run.
    otherwise: BTreeSet<IpAddr>,
    /// On links of other people.
    elsewhere: BTreeSet<IpAddr>,
}

// === impl Binding ===

impl Binding {
    /// Of the network namespace of this thread. Nothing is read or changed yet.
    pub(super) fn new(how: VipBinding) -> Result<Self, KernelError> {
        Ok(Self {
            network: Network::connect().map_err(|error| failed(&error))?,
            how,
            is_link_settled: false,
            bound: BTreeSet::new(),
            otherwise: BTreeSet::new(),
            elsewhere: BTreeSet::new(),
        })
    }

    /// Looks which addresses this host has.
    pub(super) fn read(&mut self) -> Result<(), KernelError> {
        let link = self.network.link(LINK).map_err(|error| failed(&error))?;
        let link = link.map(|link| link.index);
        self.is_link_settled |= link.is_some();
        let (ours, others): (Vec<_>, Vec<_>) = self
            .network
            .addresses()
            .map_err(|error| failed(&error))?
            .into_iter()
            .partition(|address| Some(address.link) == link);
        let ips = |all: Vec<LinkAddress>| all.into_iter().map(|one| one.address);
        self.elsewhere = ips(others).collect();
        // A link that is up has one of its own.
        let on_link = ips(ours).filter(|ip| !is_link_local(*ip)).collect();
        let routed = self
            .network
            .local_routes()
            .map_err(|error| failed(&error))?;
        (self.bound, self.otherwise) = match self.how {
            VipBinding::Address => (on_link, routed),
            VipBinding::Route => (routed, on_link),
        };
        Ok(())
    }

    /// Whether packets for it come here by what we or an earlier run have done.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.bound.contains(&address) || self.otherwise.contains(&address)
    }

    /// Whether it is bound in another way than was asked for.
    pub(super) fn is_otherwise(&self, address: IpAddr) -> bool {
        !self.bound.contains(&address) && self.otherwise.contains(&address)
    }

    /// Whether somebody else has given it to this host.
    pub(super) fn is_elsewhere(&self, address: IpAddr) -> bool {
        self.elsewhere.contains(&address)
    }

    /// All addresses that we or an earlier run have bound.
    pub(super) fn all(&self) -> impl Iterator<Item = IpAddr> {
        self.bound.union(&self.otherwise).copied()
    }

    /// Binds these, and names those that could not be.
    pub(super) fn bind(
        &mut self,
        wanted: impl IntoIterator<Item = IpAddr>,
    ) -> Result<BTreeMap<IpAddr, KernelError>, KernelError> {
        let is_missing = |ip: &IpAddr| !self.bound.contains(ip) && !self.elsewhere.contains(ip);
        let missing: Vec<IpAddr> = wanted.into_iter().filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(BTreeMap::new());
        }
        let undone = match self.how {
            VipBinding::Address => {
                let link = self
                    .network
                    .ensure_dummy(LINK)
                    .map_err(|error| failed(&error))?;
                self.network.add_addresses(link.index, &missing)
            }
            VipBinding::Route => {
                self.settle_link();
                self.network.add_local_routes(LOOPBACK, &missing)
            }
        };
        let failures = named(&missing, undone.map_err(|error| failed(&error))?);
        let done = missing.into_iter().filter(|ip| !failures.contains_key(ip));
        let done: Vec<IpAddr> = done.collect();
        self.bound.extend(&done);
        let twice = done.into_iter().filter(|ip| self.otherwise.contains(ip));
        let twice: Vec<IpAddr> = twice.collect();
        self.release_otherwise(&twice)?;
        Ok(failures)
    }

    /// Makes the link that other programs know this host's proxy by, though nothing is bound to it. Not every kernel has
    /// such links, and routes do without.
    fn settle_link(&mut self) {
        if !self.is_link_settled
            && let Err(error) = self.network.ensure_dummy(LINK)
        {
            debug!(%error, link = LINK, "The link cannot be made");
        }
        self.is_link_settled = true;
    }

    /// Releases these, however they were bound, and names those that could not be.
    pub(super) fn release(
        &mut self,
        unwanted: impl IntoIterator<Item = IpAddr>,
    ) -> Result<BTreeMap<IpAddr, KernelError>, KernelError> {
        let (bound, others): (Vec<_>, Vec<_>) = unwanted
            .into_iter()
            .filter(|ip| self.has(*ip))
            .partition(|ip| self.bound.contains(ip));
        let mut failures = self.release_otherwise(&others)?;
        if !bound.is_empty() {
            failures.extend(self.take_off(self.how, &bound)?);
            for address in bound {
                if !failures.contains_key(&address) {
                    self.bound.remove(&address);
                }
            }
        }
        Ok(failures)
    }

    /// Removes all of our routes, whatever they are for.
    pub(super) fn remove_routes(&mut self) -> Result<(), KernelError> {
        let routed = self
            .network
            .local_routes()
            .map_err(|error| failed(&error))?;
        let routed: Vec<IpAddr> = routed.into_iter().collect();
        let undone = self
            .network
            .remove_local_routes(&routed)
            .map_err(|error| failed(&error))?;
        match undone.into_iter().next() {
            None => Ok(()),
            Some(Undone { error, .. }) => Err(failed(&error)),
        }
    }

    /// Removes the link once nobody has an address on it.
    pub(super) fn remove_link_if_unused(&mut self) -> Result<(), KernelError> {
        let Some(link) = self.network.link(LINK).map_err(|error| failed(&error))? else {
            return Ok(());
        };
        let addresses = self.network.addresses().map_err(|error| failed(&error))?;
        let is_used = |one: &LinkAddress| one.link == link.index && !is_link_local(one.address);
        if !addresses.iter().any(is_used) {
            self.network
                .remove_link(LINK)
                .map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    fn release_otherwise(
        &mut self,
        addresses: &[IpAddr],
    ) -> Result<BTreeMap<IpAddr, KernelError>, KernelError> {
        if addresses.is_empty() {
            return Ok(BTreeMap::new());
        }
        let other = match self.how {
            VipBinding::Address => VipBinding::Route,
            VipBinding::Route => VipBinding::Address,
        };
        let failures = self.take_off(other, addresses)?;
        for address in addresses {
            if !failures.contains_key(address) {
                self.otherwise.remove(address);
            }
        }
        Ok(failures)
    }

    fn take_off(
        &mut self,
        how: VipBinding,
        addresses: &[IpAddr],
    ) -> Result<BTreeMap<IpAddr, KernelError>, KernelError> {
        let undone = match how {
            VipBinding::Address => match self.network.link(LINK).map_err(|error| failed(&error))? {
                Some(link) => self.network.remove_addresses(link.index, addresses),
                None => Ok(Vec::new()),
            },
            VipBinding::Route => self.network.remove_local_routes(addresses),
        };
        Ok(named(addresses, undone.map_err(|error| failed(&error))?))
    }
}

fn named(addresses: &[IpAddr], undone: Vec<Undone>) -> BTreeMap<IpAddr, KernelError> {
    let name = |undone: Undone| Some((*addresses.get(undone.index)?, failed(&undone.error)));
    undone.into_iter().filter_map(name).collect()
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// What to do about it.
pub(super) fn failed(error: &HostError) -> KernelError {
    let text = error.to_string();
    match error {
        HostError::NotSupported(_) => KernelError::Unsupported(text),
        _ => KernelError::Retry(text),
    }
}

//! What IPVS has of ours once something else carries the traffic, or nothing is to.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use meshlite_ipvs::{Change, Error};
use tokio::time::Instant;

use super::{Options, backend::Backend, binding::Binding, door::Door, mark::Mark, value};
use crate::{
    config::VipBinding,
    kernel::{KernelError, rules, worker::Worker},
    table::Key,
};

/// What is left of IPVS while another backend carries the traffic. It is to be found before that one programs anything,
/// which may take the record of what is ours away, and tended once it has: no new connection comes here then, and those
/// that are there go on until they end.
#[derive(Debug)]
pub(crate) struct Leftovers {
    worker: Worker<Backend<meshlite_ipvs::Ipvs>>,
}

// === impl Leftovers ===

impl Leftovers {
    /// Looks for them. None where there are none, or no IPVS.
    pub(crate) async fn find(options: Options) -> Result<Option<Self>, KernelError> {
        let worker = match Worker::start("ipvs-leftovers", || Backend::new(options)) {
            Err(KernelError::Unsupported(_)) => return Ok(None),
            started => started?,
        };
        let found = worker.run(Backend::give_up).await??;
        Ok(found.then_some(Self { worker }))
    }

    /// Lets go of what has no connections any more, or had them for as long as a drain may take. To be called
    /// now and then, until it says that nothing is left.
    pub(crate) async fn tend(&self) -> Result<bool, KernelError> {
        self.worker.run(Backend::let_go).await?
    }
}

/// Takes away everything of ours: virtual servers, with their connections, addresses and rules. Nothing of others is
/// touched; what kube-proxy has left is others'.
pub(crate) fn remove() -> Result<(), KernelError> {
    match meshlite_ipvs::Ipvs::connect() {
        Ok(door) => drop(door),
        Err(Error::NotSupported(_)) => {
            Binding::new(VipBinding::Route)?.remove_routes()?;
            return rules::remove().map(drop);
        }
        Err(error) => return Err(value::error(&error)),
    }
    let options = Options {
        vip_binding: VipBinding::Route,
        exclude_cidrs: Vec::new(),
        timeouts: meshlite_ipvs::Timeouts::default(),
        drain_timeout: Duration::ZERO,
    };
    Backend::<meshlite_ipvs::Ipvs>::new(options)?.remove()
}

/// Takes away all of ours but virtual servers at addresses, which somebody else serves with from now on, and says how many
/// others stay because they have connections. No connection ends.
pub(crate) fn hand_over() -> Result<usize, KernelError> {
    // Whoever serves now made virtual servers and rules of their own: without ours, no packet has a mark of ours.
    rules::remove()?;
    let options = Options {
        vip_binding: VipBinding::Route,
        exclude_cidrs: Vec::new(),
        timeouts: meshlite_ipvs::Timeouts::default(),
        drain_timeout: Duration::MAX,
    };
    match meshlite_ipvs::Ipvs::connect() {
        Ok(_) => Backend::<meshlite_ipvs::Ipvs>::new(options)?.hand_over(),
        Err(Error::NotSupported(_)) => {
            Binding::new(VipBinding::Route)?.remove_routes()?;
            Ok(0)
        }
        Err(error) => Err(value::error(&error)),
    }
}

impl<D: Door> Backend<D> {
    /// From now on all that is ours is on its way out. Says whether there is any.
    fn give_up(&mut self) -> Result<bool, KernelError> {
        let listing = self.list()?;
        let places = listing.places.keys().map(value::service_key);
        let marked = listing.marked.keys().copied().map(Mark::service_key);
        for key in places.chain(marked) {
            self.retiring.add(key, Instant::now());
        }
        Ok(!self.retiring.keys().is_empty() || self.binding.all().next().is_some())
    }

    fn let_go(&mut self) -> Result<bool, KernelError> {
        self.tend()?;
        if !self.retiring.keys().is_empty() {
            return Ok(false);
        }
        self.binding.read()?;
        let all: Vec<IpAddr> = self.binding.all().collect();
        let failures = self.binding.release(all)?;
        if let Some(error) = failures.into_values().next() {
            return Err(error);
        }
        self.binding.remove_link_if_unused()?;
        Ok(true)
    }

    fn remove(&mut self) -> Result<(), KernelError> {
        let listing = self.list()?;
        let recorded: BTreeSet<Key> = self.helpers.places().copied().collect();
        let ours = listing
            .places
            .keys()
            .map(|frontend| Key::everyone(*frontend));
        let ours = ours.filter(|key| recorded.contains(key));
        let ours = ours.map(|key| value::service_key(&key.frontend));
        let marked = listing.marked.keys().copied().map(Mark::service_key);
        let changes = ours.chain(marked).map(Change::DeleteService);
        let failures = self.send(&changes.collect::<Vec<_>>())?;
        let failed = failures
            .into_iter()
            .find(|failure| !matches!(failure.error, Error::NotThere(_)));
        if let Some(failure) = failed {
            return Err(value::error(&failure.error));
        }
        let addresses = recorded.iter().map(|key| key.frontend.address.ip());
        let failures = self.binding.release(addresses.collect::<BTreeSet<_>>())?;
        if let Some(error) = failures.into_values().next() {
            return Err(error);
        }
        self.binding.remove_routes()?;
        self.binding.remove_link_if_unused()?;
        rules::remove().map(drop)
    }
    fn hand_over(&mut self) -> Result<usize, KernelError> {
        let listing = self.list()?;
        self.binding.remove_routes()?;
        for mark in listing.marked.keys() {
            self.retiring.add(mark.service_key(), Instant::now());
        }
        self.tend()?;
        Ok(self.retiring.keys().len())
    }
}

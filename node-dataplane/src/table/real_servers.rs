//! Where the connections of a virtual server go: shared by all who have the same, copied by who changes it.

use std::{net::SocketAddr, ops::Deref, slice, sync::Arc};

use super::RealServer;

/// Real servers, sorted by address. The virtual servers of a Service port share them, and so do those who program them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::rc_buffer,
    reason = "whoever is alone with them adds and takes out in place"
)]
pub(crate) struct RealServers(Arc<Vec<(SocketAddr, RealServer)>>);

impl RealServers {
    /// These, which are sorted by address, each of them once.
    pub(crate) fn from_sorted(all: impl Iterator<Item = (SocketAddr, RealServer)>) -> Self {
        let all: Vec<_> = all.collect();
        debug_assert!(all.is_sorted_by(|(a, _), (b, _)| a < b), "{all:?}");
        Self(Arc::new(all))
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> + Clone {
        self.iter().map(|(address, _)| *address)
    }

    pub(crate) fn weights(&self) -> impl Iterator<Item = u16> {
        self.iter().map(|(_, real)| real.weight)
    }

    pub(crate) fn get(&self, address: SocketAddr) -> Option<RealServer> {
        let place = self.place(address).ok()?;
        self.0.get(place).map(|(_, real)| *real)
    }

    pub(crate) fn contains(&self, address: SocketAddr) -> bool {
        self.place(address).is_ok()
    }

    /// Adds one that is not there. Says whether it was not.
    pub(crate) fn add(&mut self, address: SocketAddr, real: RealServer) -> bool {
        match self.place(address) {
            Ok(_) => false,
            Err(place) => {
                Arc::make_mut(&mut self.0).insert(place, (address, real));
                true
            }
        }
    }

    pub(crate) fn get_mut(&mut self, address: SocketAddr) -> Option<&mut RealServer> {
        let place = self.place(address).ok()?;
        let all = Arc::make_mut(&mut self.0);
        all.get_mut(place).map(|(_, real)| real)
    }

    pub(crate) fn remove(&mut self, address: SocketAddr) -> Option<RealServer> {
        let place = self.place(address).ok()?;
        Some(Arc::make_mut(&mut self.0).remove(place).1)
    }

    /// Leaves those of which this is true.
    pub(crate) fn retain(&mut self, mut is_left: impl FnMut(SocketAddr) -> bool) {
        Arc::make_mut(&mut self.0).retain(|(address, _)| is_left(*address));
    }

    fn place(&self, address: SocketAddr) -> Result<usize, usize> {
        self.0.binary_search_by(|(is, _)| is.cmp(&address))
    }
}

impl Deref for RealServers {
    type Target = [(SocketAddr, RealServer)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// In any order; of one that is named twice the first counts.
impl FromIterator<(SocketAddr, RealServer)> for RealServers {
    fn from_iter<I: IntoIterator<Item = (SocketAddr, RealServer)>>(all: I) -> Self {
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by_key(|(address, _)| *address);
        all.dedup_by_key(|(address, _)| *address);
        Self(Arc::new(all))
    }
}

impl<const N: usize> From<[(SocketAddr, RealServer); N]> for RealServers {
    fn from(all: [(SocketAddr, RealServer); N]) -> Self {
        all.into_iter().collect()
    }
}

impl<'a> IntoIterator for &'a RealServers {
    type Item = &'a (SocketAddr, RealServer);
    type IntoIter = slice::Iter<'a, (SocketAddr, RealServer)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::real;

    fn address(number: u8) -> SocketAddr {
        SocketAddr::from(([10, 244, 0, number], 80))
    }

    #[test]
    fn who_changes_them_changes_them_for_nobody_else() {
        let ours = RealServers::from([(address(1), real(1))]);
        let mut theirs = ours.clone();
        theirs.remove(address(1));
        assert_eq!((ours.len(), theirs.len()), (1, 0));
    }

    proptest! {
        #[test]
        fn they_are_a_map(changes in prop::collection::vec((0u8..6, 0u8..3, any::<u16>()), 0..40)) {
            let (mut map, mut is) = (BTreeMap::new(), RealServers::default());
            for (number, change, weight) in changes {
                let (address, real) = (address(number), real(weight));
                match change {
                    0 => prop_assert_eq!(is.add(address, real), !map.contains_key(&address)),
                    1 => prop_assert_eq!(is.remove(address), map.remove(&address)),
                    _ => prop_assert_eq!(is.get_mut(address).copied(), map.get(&address).copied()),
                }
                if change == 0 {
                    map.entry(address).or_insert(real);
                }
                prop_assert_eq!(is.get(address), map.get(&address).copied());
                let all: RealServers = map.clone().into_iter().collect();
                prop_assert_eq!(&is, &all);
            }
        }
    }
}

//! Where the connections of a virtual server go: shared by all who have the same, copied by who changes it.

use std::{
    collections::{BTreeMap, btree_map},
    net::SocketAddr,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use super::RealServer;

/// Real servers by address. The virtual servers of a Service port share them, and so do those who program them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RealServers(Arc<BTreeMap<SocketAddr, RealServer>>);

impl Deref for RealServers {
    type Target = BTreeMap<SocketAddr, RealServer>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Copies them first where others have them too.
impl DerefMut for RealServers {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Arc::make_mut(&mut self.0)
    }
}

impl FromIterator<(SocketAddr, RealServer)> for RealServers {
    fn from_iter<I: IntoIterator<Item = (SocketAddr, RealServer)>>(all: I) -> Self {
        Self(Arc::new(all.into_iter().collect()))
    }
}

impl<const N: usize> From<[(SocketAddr, RealServer); N]> for RealServers {
    fn from(all: [(SocketAddr, RealServer); N]) -> Self {
        all.into_iter().collect()
    }
}

impl<'a> IntoIterator for &'a RealServers {
    type Item = (&'a SocketAddr, &'a RealServer);
    type IntoIter = btree_map::Iter<'a, SocketAddr, RealServer>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::real;

    #[test]
    fn who_changes_them_changes_them_for_nobody_else() {
        let address = "10.244.0.1:80".parse().unwrap();
        let ours = RealServers::from([(address, real(1))]);
        let mut theirs = ours.clone();
        theirs.clear();
        assert_eq!((ours.len(), theirs.len()), (1, 0));
    }
}

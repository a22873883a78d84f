//! The names that our own certificate is for.

use std::{collections::BTreeSet, net::IpAddr};

use rcgen::SanType;
use tracing::warn;

use super::authority::{AuthorityError, san};

/// The name that data planes verify, wherever they connect to.
const SERVICE: &str = "meshlite-control-plane";

/// The name that is always there, this host's, and `further` ones. An address of a Pod is one of its host's interfaces.
pub(super) fn names(further: &[String]) -> Result<Vec<SanType>, AuthorityError> {
    let addresses = host_addresses()
        .into_iter()
        .map(|address| address.to_string());
    let known = [SERVICE, "localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let all = known
        .into_iter()
        .chain(addresses)
        .chain(further.iter().cloned());
    let all: BTreeSet<String> = all.collect();
    all.iter().map(|name| san(name)).collect()
}

fn host_addresses() -> BTreeSet<IpAddr> {
    let interfaces = match nix::ifaddrs::getifaddrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            warn!(%error, "this host's addresses are unknown: our certificate is not for them");
            return BTreeSet::new();
        }
    };
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| v4.ip().into());
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))
    };
    interfaces
        .filter_map(address)
        .filter(|address: &IpAddr| !address.is_loopback())
        .collect()
}

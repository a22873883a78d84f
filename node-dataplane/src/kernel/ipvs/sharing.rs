//! Which places need a virtual server by mark, and which of them share one. Pure.
//!
//! IPVS has one virtual server for an address and port, and remembers clients for each by itself. So packets are marked
//! where clients of one address need different real servers (those inside, while the address itself serves everyone),
//! and where a client is to stay with a real server whichever of a Service's addresses it uses.

use std::{collections::BTreeMap, net::SocketAddr};

use super::programmed::Server;
use crate::table::{Audience, Key, Scheduler};

/// What a virtual server by mark does. Places that want the same of one Service port share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// How a real server is chosen.
    pub(super) scheduler: Scheduler,
    /// As of [`crate::table::Settings`].
    pub(super) persistence: Option<u32>,
    /// Weights of the real servers.
    pub(super) weights: BTreeMap<SocketAddr, u16>,
}

// === impl Content ===

impl Content {
    /// What a place wants of it.
    pub(super) fn of(server: &Server) -> Self {
        Self {
            scheduler: server.settings.scheduler,
            persistence: server.settings.persistence,
            weights: server
                .real_servers
                .iter()
                .map(|(address, real)| (*address, real.weight))
                .collect(),
        }
    }

    /// How many of its real servers the other one lacks.
    pub(super) fn lacking_in(&self, other: &Self) -> usize {
        let lacks = |address: &&SocketAddr| !other.weights.contains_key(*address);
        self.weights.keys().filter(lacks).count()
    }
}

/// The virtual servers by mark that these places need, which are those of one Service port in one family.
pub(super) fn shared(servers: &BTreeMap<Key, &Server>) -> Vec<(Content, Vec<Key>)> {
    let may_share = |(key, server): (&Key, &&Server)| {
        key.audience == Audience::Inside || server.settings.persistence.is_some()
    };
    if !servers.iter().any(may_share) {
        return Vec::new();
    }
    let contents: BTreeMap<Key, Content> = servers
        .iter()
        .map(|(key, server)| (*key, Content::of(server)))
        .collect();
    let differs = |key: &Key, content: &Content| {
        key.audience == Audience::Inside
            && contents.get(&Key::everyone(key.frontend)) != Some(content)
    };
    let mut all: Vec<(Content, Vec<Key>)> = Vec::new();
    for (key, content) in &contents {
        if content.persistence.is_none() && !differs(key, content) {
            continue;
        }
        match all.iter_mut().find(|(other, _)| other == content) {
            Some((_, keys)) => keys.push(*key),
            None => all.push((content.clone(), vec![*key])),
        }
    }
    // A place alone has its own virtual server's memory of clients.
    all.retain(|(content, keys)| {
        let places = keys.chunk_by(|a, b| a.frontend == b.frontend).count();
        places > 1 || keys.iter().any(|key| differs(key, content))
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{key, server};

    fn programmed(real_servers: &[(&str, u16)], persistence: Option<u32>) -> Server {
        let mut server = server(real_servers);
        server.settings.persistence = persistence;
        Server::new(server.origin, server.settings, server.real_servers)
    }

    fn shared_by(servers: &[(Key, Server)]) -> Vec<Vec<Key>> {
        let servers = servers.iter().map(|(key, server)| (*key, server)).collect();
        shared(&servers).into_iter().map(|(_, keys)| keys).collect()
    }

    #[test]
    fn plain_services_need_no_marks() {
        let plain = || programmed(&[("10.244.0.1:80", 1)], None);
        let keys = [key("TCP 10.96.0.1:80"), key("TCP 192.168.0.1:30080")];
        let none: [Vec<Key>; 0] = [];
        assert_eq!(shared_by(&keys.map(|key| (key, plain()))), none);
    }

    #[test]
    fn inside_clients_share_a_mark_where_they_get_other_real_servers() {
        let (node, balancer) = (key("TCP 192.168.0.1:30080"), key("TCP 203.0.113.1:80"));
        let local = || programmed(&[("10.244.0.1:80", 1)], None);
        let all = || programmed(&[("10.244.0.1:80", 1), ("10.244.1.1:80", 1)], None);
        let inside = [Key::inside(node.frontend), Key::inside(balancer.frontend)];
        let mut servers = vec![
            (node, local()),
            (balancer, local()),
            (key("TCP 10.96.0.1:80"), all()),
            (inside[0], all()),
            (inside[1], all()),
        ];
        assert_eq!(shared_by(&servers), [inside]);
        servers[4].1 = local();
        assert_eq!(shared_by(&servers), [[inside[0]]]);
    }

    #[test]
    fn affinity_is_shared_by_all_addresses_that_have_the_same_real_servers() {
        let cluster_ip = key("TCP 10.96.0.1:80");
        let node = key("TCP 192.168.0.1:30080");
        let all = || programmed(&[("10.244.0.1:80", 1), ("10.244.1.1:80", 1)], Some(60));
        let local = || programmed(&[("10.244.0.1:80", 1)], Some(60));
        let none: [Vec<Key>; 0] = [];
        assert_eq!(shared_by(&[(cluster_ip, all())]), none);
        assert_eq!(
            shared_by(&[(cluster_ip, all()), (node, all())]),
            [[cluster_ip, node]]
        );
        let inside = Key::inside(node.frontend);
        assert_eq!(
            shared_by(&[(cluster_ip, all()), (node, local()), (inside, all())]),
            [[cluster_ip, inside]]
        );
    }
}

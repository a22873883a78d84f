//! What a client sends, from any bytes to the end of its session, without a network: for fuzzing.

use std::{
    collections::BTreeMap,
    mem,
    net::Ipv6Addr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use meshlite_compile::{Delta, ObjectKey};
use meshlite_proto::v1::{self, discovery_request::Kind};
use prost::Message as _;
use tokio::time::Instant;

use super::{
    hello::Accepted,
    session::{Next, Session},
};
use crate::{
    balance::Reports,
    publish::{Publisher, Stamp},
};

/// Takes these bytes as the messages of a stream, each after its length as a varint.
///
/// # Panics
///
/// Where a client could do harm: that is what is looked for.
pub fn requests(mut bytes: &[u8]) {
    let now = Instant::now();
    let mut next = || v1::DiscoveryRequest::decode_length_delimited(&mut bytes).ok();
    let Some(Kind::Hello(hello)) = next().and_then(|first| first.kind) else {
        return;
    };
    let Ok(accepted) = Accepted::new(hello) else {
        return;
    };
    let (mut publisher, views) = Publisher::new(Arc::default());
    let changed = SystemTime::UNIX_EPOCH;
    publisher.publish(&Delta::default(), Stamp { at: now, changed }, Vec::new());
    publisher.announce();
    let Some(view) = views.borrow().clone() else {
        return;
    };
    let mut session = Session::new(&accepted, now, Duration::ZERO);
    let reports = mk_reports();
    let reporter = reports.reporter(accepted.role, &accepted.identity);
    while let Some(mut request) = next() {
        if let Some(Kind::Heartbeat(beat)) = &mut request.kind {
            reporter.report(mem::take(&mut beat.loads));
        }
        if session.next(&view, now) == Some(Next::Compare) {
            session.asked(now);
        }
        if session.hear(request, now).is_err() {
            return;
        }
    }
    let client = session.standing().describe(accepted.topics);
    assert!(client.topics.len() <= crate::publish::TOPICS.len());
    assert!(client.installed.len() <= client.topics.len());
    let sum = reports.sum();
    assert!(
        sum.told()
            .all(|load| load.service == "a/b" && load.active_connections <= 1_000)
    );
}

/// Reports on the endpoint `::1` of the Service `a/b`.
fn mk_reports() -> Reports {
    let reports = Reports::new(Arc::default());
    let bases = BTreeMap::from([(Ipv6Addr::LOCALHOST.into(), 100)]);
    let web = ObjectKey::new("a", "b");
    reports.expect(Arc::new(BTreeMap::from([(web, Arc::new(bases))])));
    reports
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::mk_hello;

    proptest! {
        #[test]
        fn no_bytes_of_a_client_are_its_harm(
            before in any::<bool>(),
            cut in 0..400_usize,
            noise in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let hello = mk_hello(v1::Role::L4Node, &meshlite_snapshot::Topic::NODE);
            let hello = v1::DiscoveryRequest { kind: Some(Kind::Hello(hello)) };
            let mut bytes = if before { hello.encode_length_delimited_to_vec() } else { Vec::new() };
            bytes.truncate(cut);
            bytes.extend(noise);
            requests(&bytes);
        }
    }
}

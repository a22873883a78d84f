//! What a client sends, from any bytes to the end of its session, without a network: for fuzzing.

use std::time::{Duration, SystemTime};

use meshlite_compile::Delta;
use meshlite_proto::v1::{self, discovery_request::Kind};
use prost::Message as _;
use tokio::time::Instant;

use super::{
    hello::Accepted,
    session::{Next, Session},
};
use crate::publish::{Publisher, Stamp};

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
    let (mut publisher, views) = Publisher::new(std::sync::Arc::default());
    let changed = SystemTime::UNIX_EPOCH;
    publisher.publish(&Delta::default(), Stamp { at: now, changed }, Vec::new());
    publisher.announce();
    let Some(view) = views.borrow().clone() else {
        return;
    };
    let mut session = Session::new(&accepted, now, Duration::ZERO);
    while let Some(request) = next() {
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

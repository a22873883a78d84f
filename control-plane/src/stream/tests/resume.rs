//! Clients with a session of their own, as data planes have it, that come back to a server that publishes 50,000 resources.

use meshlite_proto::session::{Action, Installed, Session};
use prost::Message as _;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;

use super::*;

const RESOURCES: u32 = 50_000;

/// How a stream began.
#[derive(Debug)]
struct Beginning {
    /// Bytes of what the client said before the first commit.
    said: usize,
    begin: v1::CommitBegin,
    /// Resources that the data plane was given to install.
    changes: usize,
}

/// Follows a server until its first commit is installed, and leaves.
async fn follow(session: &mut Session, server: &Server) -> Beginning {
    let (requests, outgoing) = mpsc::channel(16);
    let mut actions = session.connected(Instant::now(), "the server");
    let mut client = discovery_client(server.addr).await;
    let (mut said, mut begin, mut changes) = (0, None, 0);
    let mut opening = Some(outgoing);
    let mut responses = None;
    loop {
        while let Some(action) = actions.pop() {
            match action {
                Action::Send(request) => {
                    let is_ack = matches!(request.kind, Some(discovery_request::Kind::Ack(_)));
                    let length = request.encoded_len();
                    requests.send(request).await.unwrap();
                    if let (true, Some(begin)) = (is_ack, begin.take()) {
                        session.disconnected("enough".into());
                        return Beginning {
                            said,
                            begin,
                            changes,
                        };
                    }
                    said += length;
                }
                Action::Deliver(delivery) => {
                    changes = delivery.changes.len();
                    let installed = Installed {
                        snapshot: delivery.snapshot,
                        rejected: vec![],
                    };
                    actions = session.installed(Instant::now(), installed);
                }
                Action::Reconnect(reason) => panic!("{reason}"),
            }
        }
        if let Some(outgoing) = opening.take() {
            let opened = client.stream_snapshots(ReceiverStream::new(outgoing)).await;
            responses = Some(opened.unwrap().into_inner());
        }
        let next = responses.as_mut().unwrap().message();
        let message = timeout(PATIENCE, next).await;
        let message = message
            .expect("the server says something")
            .unwrap()
            .unwrap();
        if let Some(Kind::Begin(of_commit)) = &message.kind {
            begin = Some(of_commit.clone());
        }
        actions = session.received(Instant::now(), message);
    }
}

fn mk_session() -> Session {
    let client = mk_hello(NODE, &Topic::NODE).client.unwrap();
    Session::new(client, NODE, &Topic::NODE, 2)
}

#[tokio::test]
async fn a_client_that_holds_50_000_resources_resumes_with_20_kib_and_is_sent_nothing_again() {
    let all = mk_many(RESOURCES);
    let (mut one, mut other) = (Server::start().await, Server::start().await);
    one.publish(&all);
    other.publish(&all);
    let mut session = mk_session();
    let first = follow(&mut session, &one).await;
    assert_eq!(first.begin.mode(), v1::CommitMode::Full);
    assert_eq!(first.changes, RESOURCES as usize);

    // Nothing changed: not for the replica that it knows, nor for another one.
    for server in [&one, &other] {
        let again = follow(&mut session, server).await;
        assert_eq!(
            (again.begin.frame_count, again.begin.bytes),
            (0, 0),
            "{again:?}"
        );
        assert_eq!(again.changes, 0);
        assert!(again.said <= 1024, "{again:?}");
    }

    // What changed while it was away comes by cursor from this replica, and by bucket from one that it does not know.
    other.publish(&mk_many(RESOURCES + 1));
    one.publish(&mk_many(RESOURCES + 1));
    let mut elsewhere = mk_session();
    follow(&mut elsewhere, &one).await;
    one.publish(&mk_many(RESOURCES + 2));
    other.publish(&mk_many(RESOURCES + 3));
    let by_cursor = follow(&mut session, &other).await;
    assert_eq!(by_cursor.begin.mode(), v1::CommitMode::Delta);
    assert_eq!((by_cursor.begin.frame_count, by_cursor.changes), (3, 3));
    let by_bucket = follow(&mut elsewhere, &other).await;
    assert_eq!(by_bucket.begin.mode(), v1::CommitMode::Buckets);
    assert_eq!(by_bucket.begin.replaced_buckets.len(), by_bucket.changes);
    assert!(by_bucket.said <= 20 * 1024, "{by_bucket:?}");
    assert_eq!(by_bucket.changes, 2);
}

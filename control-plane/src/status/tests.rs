//! What is asked about more than one answer holds.

use meshlite_proto::v1;
use meshlite_snapshot::Topic;

use super::MOST_CHANGES;
use crate::testing::{Peer, Server, mk_hello, status_client};

#[tokio::test]
async fn a_list_of_changes_that_is_cut_says_how_many_there_are() {
    let names: Vec<_> = (0..MOST_CHANGES + 50).map(|n| format!("ns-{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let server = Server::with_namespaces(&names).await;
    let hello = mk_hello(v1::Role::L4Node, &Topic::NODE);
    let _peer = Peer::connect(server.addr, hello).await;
    let request = v1::DiffClientRequest {
        client: "node-a".to_owned(),
    };
    let mut status = status_client(server.addr).await;
    let lacks = status.diff_client(request).await.unwrap().into_inner();
    let told = (lacks.pending.len(), lacks.pending_total);
    assert_eq!(told, (MOST_CHANGES, MOST_CHANGES as u64 + 50));
}

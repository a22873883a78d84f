//! What is counted of which Services.

use super::*;
use crate::{
    desired::Changed,
    kernel::memory::Memory,
    program::tests::mk_program,
    testing::{mk_group, mk_service, mk_snapshot},
};

#[tokio::test]
async fn connections_are_counted_over_all_addresses_of_a_service_and_of_no_other() {
    let mut web = mk_service("web", "10.96.0.1");
    web.external_ips = vec!["198.51.100.1".parse().unwrap()];
    let other = mk_service("other", "10.96.0.2");
    let groups = vec![
        mk_group("web", &[("10.244.0.1", "n1"), ("10.244.0.2", "n2")]),
        mk_group("other", &[("10.244.0.1", "n1")]),
    ];
    let mut program = mk_program(Memory::default());
    let snapshot = mk_snapshot(vec![web, other], groups);
    program.set_snapshot(1, snapshot, Changed::default);
    assert!(program.pass(vec![]).await);
    let first: SocketAddr = "10.244.0.1:8080".parse().unwrap();
    let servers = &mut program.kernel.observed.virtual_servers;
    for server in servers.values_mut() {
        if server.real_servers.contains(first) {
            server.connections.insert(first, 15);
        }
    }
    let balanced = Balanced([Name::new("default/web").unwrap()].into());
    let loads = program.loads(&balanced).await.unwrap();
    let expected = EndpointLoad {
        service: "default/web".into(),
        address: "10.244.0.1".into(),
        port: 8080,
        active_connections: 30,
    };
    assert_eq!(loads, [expected]);
    assert_eq!(program.loads(&Balanced::default()).await, Ok(vec![]));
}

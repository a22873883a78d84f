//! Each set, by the row of the table that people know them from.

use serde_json::{Value, json};

use super::*;

/// A virtual server as a node shows it.
fn server(kind: &str, address: &str, protocol: &str, masquerade: &str) -> Value {
    json!({
        "address": address, "protocol": protocol, "audience": "Everyone", "kind": kind, "programmed": true,
        "sourceRanges": [], "masquerade": masquerade, "realServers": [],
    })
}

fn table() -> Table {
    let mut guarded = server("LoadBalancer", "192.0.2.2:80", "TCP", "Always");
    guarded["sourceRanges"] = json!(["10.0.0.0/8", "192.168.0.0/16"]);
    let mut elsewhere = server("ClusterIP", "10.96.0.9:80", "TCP", "NotPods");
    elsewhere["programmed"] = json!(false);
    let mut dns = server("ClusterIP", "10.96.0.10:53", "UDP", "NotPods");
    dns["realServers"] = json!([
        { "address": "10.244.0.7:5353", "weight": 1, "isLocal": true, "connections": 0, "draining": false },
        { "address": "10.244.1.7:5353", "weight": 1, "isLocal": false, "connections": 0, "draining": false },
    ]);
    let mut inside = server("LoadBalancer", "192.0.2.1:80", "TCP", "NotPods");
    inside["audience"] = json!("Inside");
    let servers = json!({ "mode": "nftables", "generation": 1, "findings": [], "virtualServers": [
        dns,
        elsewhere,
        server("ClusterIP", "[fd00::1]:443", "TCP", "NotPods"),
        server("ClusterIP", "10.96.0.1:443", "TCP", "NotPods"),
        server("ExternalIP", "203.0.113.7:80", "TCP", "Always"),
        server("LoadBalancer", "192.0.2.1:80", "TCP", "Never"),
        inside,
        guarded,
        server("NodePort", "0.0.0.0:30080", "TCP", "Always"),
        server("NodePort", "[::]:30080", "TCP", "Always"),
        server("NodePort", "0.0.0.0:80", "TCP", "Never"),
        server("NodePort", "10.0.0.5:30053", "UDP", "Always"),
        server("NodePort", "10.0.0.5:30054", "UDP", "Never"),
        server("NodePort", "0.0.0.0:30099", "SCTP", "Always"),
    ]});
    serde_json::from_value(servers).unwrap()
}

fn members(name: &str) -> Vec<String> {
    let view = View::new(&table(), Vec::new());
    let set = view.ipsets.into_iter().find(|set| set.name == name);
    set.unwrap().members
}

#[test]
fn kube_cluster_ip_has_every_cluster_ip_and_port() {
    let expected = ["10.96.0.1,tcp:443", "10.96.0.10,udp:53", "fd00::1,tcp:443"];
    assert_eq!(members("KUBE-CLUSTER-IP"), expected);
}

#[test]
fn kube_loop_back_has_endpoints_of_this_node_twice() {
    assert_eq!(
        members("KUBE-LOOP-BACK"),
        ["10.244.0.7,udp:5353,10.244.0.7"]
    );
}

#[test]
fn kube_external_ip_has_external_ips() {
    assert_eq!(members("KUBE-EXTERNAL-IP"), ["203.0.113.7,tcp:80"]);
}

#[test]
fn kube_load_balancer_has_addresses_of_load_balancers_each_once() {
    let expected = ["192.0.2.1,tcp:80", "192.0.2.2,tcp:80"];
    assert_eq!(members("KUBE-LOAD-BALANCER"), expected);
}

#[test]
fn kube_load_balancer_local_has_those_whose_clients_keep_their_address() {
    assert_eq!(members("KUBE-LOAD-BALANCER-LOCAL"), ["192.0.2.1,tcp:80"]);
}

#[test]
fn kube_load_balancer_fw_has_those_with_source_ranges() {
    assert_eq!(members("KUBE-LOAD-BALANCER-FW"), ["192.0.2.2,tcp:80"]);
}

#[test]
fn kube_load_balancer_source_cidr_has_who_may_connect() {
    let expected = [
        "192.0.2.2,tcp:80,10.0.0.0/8",
        "192.0.2.2,tcp:80,192.168.0.0/16",
    ];
    assert_eq!(members("KUBE-LOAD-BALANCER-SOURCE-CIDR"), expected);
}

#[test]
fn kube_node_port_tcp_has_ports() {
    assert_eq!(members("KUBE-NODE-PORT-TCP"), ["80", "30080"]);
}

#[test]
fn kube_node_port_local_tcp_has_ports_whose_clients_keep_their_address() {
    assert_eq!(members("KUBE-NODE-PORT-LOCAL-TCP"), ["80"]);
}

#[test]
fn kube_node_port_udp_has_ports() {
    assert_eq!(members("KUBE-NODE-PORT-UDP"), ["30053", "30054"]);
}

#[test]
fn kube_node_port_local_udp_has_ports_whose_clients_keep_their_address() {
    assert_eq!(members("KUBE-NODE-PORT-LOCAL-UDP"), ["30054"]);
}

/// As a node answers `/sets`.
fn nft() -> Vec<NftSet> {
    let sets = json!([
        { "kube_proxy": "KUBE-CLUSTER-IP, KUBE-EXTERNAL-IP", "ours": "frontends-ip", "purpose": "every virtual server",
          "members": ["10.96.0.1 . 6 . 443 : 4"] },
        { "kube_proxy": "", "ours": "slots-ip", "purpose": "by slot", "members": ["0x0"] },
        { "kube_proxy": "KUBE-LOOP-BACK", "ours": "hairpins-ip", "purpose": "endpoints", "members": [] },
    ]);
    serde_json::from_value(sets).unwrap()
}

#[test]
fn there_is_a_line_for_each_member_and_for_each_set() {
    let text = View::new(&table(), nft()).print(Format::Text);
    let lines: Vec<_> = text.lines().take(5).collect();
    assert_eq!(
        lines,
        [
            "KUBE-PROXY                      MEMBERS                          NFT",
            "KUBE-CLUSTER-IP                 10.96.0.1,tcp:443                frontends-ip",
            "                                10.96.0.10,udp:53",
            "                                fd00::1,tcp:443",
            "KUBE-LOOP-BACK                  10.244.0.7,udp:5353,10.244.0.7   hairpins-ip",
        ]
    );
    let empty = Table {
        virtual_servers: Vec::new(),
    };
    let text = View::new(&empty, Vec::new()).print(Format::Text);
    assert_eq!(text.lines().count(), 12);
}

#[test]
fn wide_are_the_sets_of_the_kernel_that_do_the_same_work_too() {
    let text = View::new(&table(), nft()).print(Format::Wide);
    let (_, kernel) = text.split_once("\n\n").unwrap();
    assert_eq!(
        kernel,
        "\
NFT           MEMBERS                  PURPOSE
frontends-ip  10.96.0.1 . 6 . 443 : 4  every virtual server
hairpins-ip   -                        endpoints
"
    );
}

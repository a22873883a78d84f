//! What earlier runs, kube-proxy and others have in the same kernel.

use super::{
    super::{Leftovers, remove},
    again, fresh, ip, ipvsadm, options, run, settle,
};
use crate::{
    kernel::{Kernel as _, rules},
    table::{Key, Owner, VipKind},
    testing::{key, mk_table, server},
};

#[tokio::test]
async fn a_restart_finds_all_as_it_was_and_changes_nothing() {
    let Some(mut ipvs) = fresh() else {
        return;
    };
    let place = key("TCP 10.96.0.1:80");
    let mut sticky = server(&[("10.244.0.1:80", 1), ("10.244.0.2:80", 0)]);
    sticky.settings.persistence = Some(60);
    let table = mk_table([
        (place, server(&[("10.244.0.1:80", 1)])),
        (Key::inside(place.frontend), server(&[("10.244.0.2:80", 1)])),
        (key("TCP 10.96.0.2:80"), sticky.clone()),
        (key("TCP 10.96.0.3:80"), sticky),
        (key("UDP 10.96.0.4:53"), server(&[])),
    ]);
    settle(&mut ipvs, &table).await;
    let before = ipvsadm();
    drop(ipvs);
    let mut ipvs = again(options());
    let found = ipvs.read().await.unwrap();
    assert_eq!(super::planned(&table, &found).steps, []);
    assert_eq!(ipvsadm(), before);
    settle(&mut ipvs, &mk_table([])).await;
}

#[tokio::test]
async fn what_kube_proxy_left_becomes_ours_by_edits_and_weights_are_right_again() {
    let Some(mut ipvs) = fresh() else {
        return;
    };
    ip("link add kube-ipvs0 type dummy");
    ip("address add 10.96.0.1/32 dev kube-ipvs0");
    ip("link add eth9 type dummy");
    ip("address add 192.168.7.1/24 dev eth9");
    for arguments in [
        "-A -t 10.96.0.1:80 -s rr",
        "-a -t 10.96.0.1:80 -r 10.244.0.1:80 -m -w 0",
        "-a -t 10.96.0.1:80 -r 10.244.0.9:80 -m -w 1",
        "-A -t 192.168.7.1:30080 -s wrr",
        "-a -t 192.168.7.1:30080 -r 10.244.0.1:80 -m -w 0",
        "-a -t 192.168.7.1:30080 -r 10.244.0.9:80 -m -w 1",
        "-A -t 10.96.0.7:80 -s rr",
    ] {
        run("ipvsadm", arguments);
    }
    ip("address add 10.96.0.7/32 dev kube-ipvs0");
    let mut node_port = server(&[("10.244.0.1:80", 1)]);
    node_port.origin.kind = VipKind::NodePort;
    let table = mk_table([
        (key("TCP 10.96.0.1:80"), server(&[("10.244.0.1:80", 1)])),
        (key("TCP 192.168.7.1:30080"), node_port),
    ]);
    // The first plan drains what is not wanted. Nothing is ever without a real server.
    super::program(&mut ipvs, &table).await.unwrap();
    let shown = ipvsadm().join("\n");
    for line in ["-> 10.244.0.1:80 Masq 1 0 0", "-> 10.244.0.9:80 Masq 0 0 0"] {
        assert_eq!(shown.matches(line).count(), 2, "{shown}");
    }
    settle(&mut ipvs, &table).await;
    assert!(!ipvsadm().join("\n").contains("10.96.0.7"));
    assert!(!run("ip", "address show dev kube-ipvs0").contains("10.96.0.7"));
    assert!(!run("ip", "address show dev kube-ipvs0").contains("192.168.7.1"));
}

#[tokio::test]
async fn node_ports_that_kube_proxy_left_go_and_what_only_looks_alike_stays() {
    let Some(mut ipvs) = fresh() else {
        return;
    };
    ip("link add kube-ipvs0 type dummy");
    ip("address add 10.96.0.1/32 dev kube-ipvs0");
    ip("link add eth9 type dummy");
    ip("address add 192.168.7.1/24 dev eth9");
    let of_kube_proxy = [
        "-A -t 10.96.0.1:80 -s rr",
        "-a -t 10.96.0.1:80 -r 10.244.0.1:80 -m -w 1",
        "-a -t 10.96.0.1:80 -r 10.244.0.2:80 -m -w 1",
        "-A -t 192.168.7.1:30080 -s rr",
        "-a -t 192.168.7.1:30080 -r 10.244.0.1:80 -m -w 1",
        "-a -t 192.168.7.1:30080 -r 10.244.0.2:80 -m -w 1",
    ];
    // Without a real server, with one that no Service has, and with other weights.
    let of_others = [
        "-A -t 192.168.7.1:1 -s rr",
        "-A -t 192.168.7.1:2 -s rr",
        "-a -t 192.168.7.1:2 -r 10.244.0.1:80 -m -w 1",
        "-a -t 192.168.7.1:2 -r 10.244.0.7:80 -m -w 1",
        "-A -t 192.168.7.1:3 -s rr",
        "-a -t 192.168.7.1:3 -r 10.244.0.1:80 -m -w 5",
    ];
    for arguments in of_kube_proxy.iter().chain(&of_others) {
        run("ipvsadm", arguments);
    }
    // The Service has no node port any more.
    let real = [("10.244.0.1:80", 1), ("10.244.0.2:80", 1)];
    let table = mk_table([(key("TCP 10.96.0.1:80"), server(&real))]);
    settle(&mut ipvs, &table).await;
    let shown = ipvsadm().join("\n");
    assert!(!shown.contains(":30080"), "{shown}");
    for port in 1..=3 {
        assert!(shown.contains(&format!("192.168.7.1:{port} rr")), "{shown}");
    }
    settle(&mut ipvs, &mk_table([])).await;
    assert_eq!(ipvsadm().len(), of_others.len(), "{:?}", ipvsadm());
}

#[tokio::test]
async fn virtual_servers_of_others_are_named_and_never_touched() {
    let Some(mut ipvs) = fresh() else {
        return;
    };
    ip("link add kube-ipvs0 type dummy");
    ip("address add 192.0.2.1/32 dev kube-ipvs0");
    let others = [
        "-A -t 4.4.4.4:56 -s rr",
        "-a -t 4.4.4.4:56 -r 10.0.0.1:80 -m -w 0",
        "-A -t 192.0.2.1:80 -s lc",
        "-A -f 7 -s wlc",
        "-a -f 7 -r 10.0.0.1:80 -m -w 3",
    ];
    for arguments in others {
        run("ipvsadm", arguments);
    }
    let before = ipvsadm();
    let ours = key("TCP 10.96.0.1:80");
    let table = mk_table([(ours, server(&[("10.244.0.1:80", 1)]))]);
    settle(&mut ipvs, &table).await;
    let found = ipvs.read().await.unwrap();
    let foreign = &found.virtual_servers[&key("TCP 4.4.4.4:56")];
    assert_eq!(foreign.owner, Owner::Foreign);
    let wanted = mk_table([(key("TCP 192.0.2.1:80"), server(&[]))]);
    let plan = super::planned(&wanted, &found);
    assert_eq!(plan.conflicts, [key("TCP 192.0.2.1:80")]);
    settle(&mut ipvs, &mk_table([])).await;
    assert_eq!(ipvsadm(), before);
    settle(&mut ipvs, &table).await;
    drop(ipvs);
    remove().unwrap();
    assert_eq!(ipvsadm(), before);
    assert!(run("ip", "address show dev kube-ipvs0").contains("192.0.2.1"));
    assert!(!rules::remove().unwrap(), "the table is gone already");
}

#[tokio::test]
async fn once_another_backend_serves_all_of_ours_goes_when_nothing_uses_it() {
    let Some(mut ipvs) = fresh() else {
        return;
    };
    run("ipvsadm", "-A -t 4.4.4.4:56 -s rr");
    let place = key("TCP 10.96.0.1:80");
    let table = mk_table([
        (place, server(&[("10.244.0.1:80", 1)])),
        (Key::inside(place.frontend), server(&[("10.244.0.2:80", 1)])),
    ]);
    settle(&mut ipvs, &table).await;
    drop(ipvs);
    let leftovers = Leftovers::find(options()).await.unwrap().unwrap();
    // As another backend does when it programs its own.
    rules::remove().unwrap();
    assert!(leftovers.tend().await.unwrap());
    assert_eq!(ipvsadm(), ["TCP 4.4.4.4:56 rr"]);
    assert!(!run("ip", "link show").contains("kube-ipvs0"));
    assert!(Leftovers::find(options()).await.unwrap().is_none());
}

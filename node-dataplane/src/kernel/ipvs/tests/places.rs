//! Virtual servers at addresses and by mark: what is seen of them from outside this program.

use super::{again, fresh, ip, ipvsadm, options, program, run, settle};
use crate::{
    config::VipBinding,
    kernel::Kernel as _,
    plan::Step,
    table::{Key, Scheduler, VipKind, VirtualServer},
    testing::{key, mk_table, server},
};

fn of_kind(mut server: VirtualServer, kind: VipKind) -> VirtualServer {
    server.origin.kind = kind;
    server
}

fn sticky(real_servers: &[(&str, u16)]) -> VirtualServer {
    let mut server = server(real_servers);
    server.settings.persistence = Some(10_800);
    server
}

#[tokio::test]
async fn ipvsadm_shows_what_the_tutorials_show() {
    let Some(mut ipvs) = fresh() else {
        return;
    };
    let dns = [("10.244.219.85:53", 1), ("10.244.219.87:53", 1)];
    let table = mk_table([
        (key("TCP 10.0.0.10:53"), server(&dns)),
        (key("UDP 10.0.0.10:53"), server(&dns)),
        (
            key("TCP 10.10.227.188:80"),
            sticky(&[("10.244.104.54:80", 1), ("10.244.104.56:80", 1)]),
        ),
    ]);
    settle(&mut ipvs, &table).await;
    let shown = run("ipvsadm", "-Ln");
    for lines in [
        "IP Virtual Server version 1.2.1 (size=4096)\n\
         Prot LocalAddress:Port Scheduler Flags\n",
        "TCP  10.0.0.10:53 rr\n",
        "UDP  10.0.0.10:53 rr\n",
        "  -> 10.244.219.85:53             Masq    1      0          0         \n",
        "TCP  10.10.227.188:80 rr persistent 10800\n",
        "  -> 10.244.104.54:80             Masq    1      0          0         \n",
    ] {
        assert!(shown.contains(lines), "{lines:?} is not in\n{shown}");
    }
    let addresses = run("ip", "address show kube-ipvs0");
    for words in [
        "BROADCAST,NOARP> ",
        " state DOWN",
        "inet 10.0.0.10/32 ",
        "inet 10.10.227.188/32 ",
    ] {
        assert!(
            addresses.contains(words),
            "{words:?} is not in\n{addresses}"
        );
    }
}

#[tokio::test]
async fn every_scheduler_is_programmed_and_changed_without_touching_real_servers() {
    let Some(mut ipvs) = fresh() else {
        return;
    };
    let place = key("TCP 10.96.0.1:80");
    for scheduler in Scheduler::ALL {
        let mut server = server(&[("10.244.0.1:80", 2), ("10.244.0.2:80", 1)]);
        server.settings.scheduler = scheduler;
        settle(&mut ipvs, &mk_table([(place, server)])).await;
        let flags = match scheduler {
            Scheduler::Mh => " (mh-port)",
            Scheduler::Sh => " (sh-fallback)",
            _ => "",
        };
        let shown = ipvsadm();
        assert_eq!(shown[0], format!("TCP 10.96.0.1:80 {scheduler}{flags}"));
        assert_eq!(shown.len(), 3, "{shown:?}");
    }
}

#[tokio::test]
async fn clients_inside_get_other_real_servers_by_mark() {
    let Some(mut ipvs) = fresh() else {
        return;
    };
    let balancer = key("TCP 203.0.113.1:80");
    let inside = Key::inside(balancer.frontend);
    let local = || of_kind(server(&[("10.244.0.1:80", 1)]), VipKind::LoadBalancer);
    let all = || {
        let both = server(&[("10.244.0.1:80", 1), ("10.244.1.1:80", 1)]);
        of_kind(both, VipKind::LoadBalancer)
    };
    settle(&mut ipvs, &mk_table([(balancer, local()), (inside, all())])).await;
    let shown = ipvsadm();
    assert_eq!(
        shown[..2],
        ["TCP 203.0.113.1:80 rr", "-> 10.244.0.1:80 Masq 1 0 0"]
    );
    assert_eq!(shown[2], format!("FWM {} rr", 0x6d00_0000));
    assert_eq!(shown.len(), 5, "{shown:?}");
    // Where both get the same there is nothing to tell apart.
    settle(&mut ipvs, &mk_table([(balancer, all()), (inside, all())])).await;
    assert_eq!(ipvsadm().len(), 3, "{:?}", ipvsadm());
    settle(&mut ipvs, &mk_table([(balancer, all())])).await;
    settle(&mut ipvs, &mk_table([])).await;
    assert_eq!(ipvsadm(), [""; 0]);
}

#[tokio::test]
async fn another_scheduler_reaches_virtual_servers_by_mark_and_keeps_their_real_servers() {
    let Some(mut ipvs) = fresh() else {
        return;
    };
    let balancer = key("TCP 203.0.113.1:80");
    let inside = Key::inside(balancer.frontend);
    let with = |scheduler, real: &[(&str, u16)]| {
        let mut server = of_kind(server(real), VipKind::LoadBalancer);
        server.settings.scheduler = scheduler;
        server
    };
    let both = [("10.244.0.1:80", 1), ("10.244.1.1:80", 2)];
    let mark = 0x6d00_0000;
    let tables = [Scheduler::Rr, Scheduler::Wrr, Scheduler::Lc].map(|scheduler| {
        let real = with(scheduler, &both);
        let table = mk_table([(balancer, with(scheduler, &both[..1])), (inside, real)]);
        (scheduler, table)
    });
    settle(&mut ipvs, &tables[0].1).await;
    for (scheduler, table) in &tables[1..] {
        let plan = program(&mut ipvs, table).await.unwrap();
        let is_edit = |step: &Step| matches!(step, Step::EditVirtualServer { .. });
        assert!(plan.steps.iter().all(is_edit), "{:?}", plan.steps);
        // Who was held while there was no scheduler is served again, or more would be left to do.
        assert_eq!(program(&mut ipvs, table).await.unwrap().steps, []);
        let shown = ipvsadm();
        assert_eq!(shown[0], format!("TCP 203.0.113.1:80 {scheduler}"));
        assert_eq!(shown[2], format!("FWM {mark} {scheduler}"), "{shown:?}");
        assert_eq!(shown.len(), 5, "{shown:?}");
    }
}

#[tokio::test]
async fn affinity_over_several_addresses_is_one_virtual_server_by_mark() {
    let Some(mut ipvs) = fresh() else {
        return;
    };
    let (cluster_ip, balancer) = (key("TCP 10.96.0.1:80"), key("TCP 203.0.113.1:80"));
    let real = [("10.244.0.1:80", 1), ("10.244.1.1:80", 1)];
    settle(&mut ipvs, &mk_table([(cluster_ip, sticky(&real))])).await;
    assert_eq!(ipvsadm().len(), 3, "{:?}", ipvsadm());
    let both = |real: &[(&str, u16)]| {
        mk_table([
            (cluster_ip, sticky(real)),
            (balancer, of_kind(sticky(real), VipKind::LoadBalancer)),
        ])
    };
    settle(&mut ipvs, &both(&real)).await;
    let shown = ipvsadm();
    let mark = format!("FWM {} mh (mh-fallback)", 0x6d00_0000);
    assert_eq!(shown[6], mark, "{shown:?}");
    assert_eq!(shown.len(), 9, "{shown:?}");
    settle(&mut ipvs, &both(&real[..1])).await;
    let shown = ipvsadm();
    assert_eq!(shown[4..], [&*mark, "-> 10.244.0.1:80 Masq 1 0 0"]);
}

#[tokio::test]
async fn the_last_virtual_server_of_an_address_takes_it_along_however_it_is_bound() {
    if fresh().is_none() {
        return;
    }
    for vip_binding in [VipBinding::Address, VipBinding::Route, VipBinding::Address] {
        let mut ipvs = again(super::Options {
            vip_binding,
            ..options()
        });
        let (web, dns) = (key("TCP 10.96.0.1:80"), key("UDP 10.96.0.1:53"));
        let six = key("TCP [fd00:96::1]:80");
        let real = || server(&[("10.244.0.1:80", 1)]);
        let of_six = || server(&[("[fd00:244::1]:80", 1)]);
        settle(
            &mut ipvs,
            &mk_table([(web, real()), (dns, real()), (six, of_six())]),
        )
        .await;
        settle(&mut ipvs, &mk_table([(dns, real()), (six, of_six())])).await;
        let listed = |family: &str| match vip_binding {
            VipBinding::Address => run("ip", &format!("{family} -brief address show kube-ipvs0")),
            VipBinding::Route => run("ip", &format!("{family} route show table local proto 109")),
        };
        assert!(listed("-4").contains("10.96.0.1"), "{}", listed("-4"));
        assert!(listed("-6").contains("fd00:96::1"), "{}", listed("-6"));
        settle(&mut ipvs, &mk_table([])).await;
        assert!(!listed("-4").contains("10.96.0.1"), "{}", listed("-4"));
        assert!(!listed("-6").contains("fd00:96::1"), "{}", listed("-6"));
    }
}

#[tokio::test]
async fn another_way_of_binding_takes_over_without_an_address_being_away() {
    let Some(mut ipvs) = fresh() else {
        return;
    };
    let table = mk_table([(key("TCP 10.96.0.1:80"), server(&[("10.244.0.1:80", 1)]))]);
    settle(&mut ipvs, &table).await;
    drop(ipvs);
    let mut ipvs = again(super::Options {
        vip_binding: VipBinding::Route,
        ..options()
    });
    settle(&mut ipvs, &table).await;
    let moved = run("ip", "route show table local proto 109");
    assert!(moved.contains("10.96.0.1"), "{moved}");
    let link = run("ip", "address show dev kube-ipvs0");
    assert!(!link.contains("10.96.0.1"), "{link}");
}

#[tokio::test]
async fn what_somebody_takes_away_is_back_with_the_next_plan() {
    let Some(mut ipvs) = fresh() else {
        return;
    };
    let place = key("TCP 10.96.0.1:80");
    let inside = Key::inside(place.frontend);
    let mut table = mk_table([
        (place, server(&[("10.244.0.1:80", 1)])),
        (
            inside,
            server(&[("10.244.0.1:80", 1), ("10.244.0.2:80", 3)]),
        ),
    ]);
    table.inside = std::sync::Arc::new(["10.244.0.0/16".parse().unwrap()].into());
    settle(&mut ipvs, &table).await;
    let mark = 0x6d00_0000;
    for (program_name, arguments) in [
        ("ipvsadm", "-D -t 10.96.0.1:80".to_owned()),
        ("ipvsadm", "-d -t 10.96.0.1:80 -r 10.244.0.1:80".to_owned()),
        ("ipvsadm", "-E -t 10.96.0.1:80 -s lc -p 5".to_owned()),
        ("ipvsadm", format!("-e -f {mark} -r 10.244.0.2:80 -m -w 9")),
        ("ip", "address del 10.96.0.1/32 dev kube-ipvs0".to_owned()),
        ("ip", "link del kube-ipvs0".to_owned()),
    ] {
        run(program_name, &arguments);
        let plan = program(&mut ipvs, &table).await.unwrap();
        assert_ne!(plan.steps, [], "{program_name} {arguments}");
        settle(&mut ipvs, &table).await;
    }
    ip("address show dev kube-ipvs0 to 10.96.0.1");
    // Its number may be another one then.
    run("ipvsadm", &format!("-D -f {mark}"));
    settle(&mut ipvs, &table).await;
    assert_eq!(ipvs.connections(&[]).await, Ok(vec![]));
}

//! Which settings are wanted, and what is done about them.

use super::*;

const LINUX_6_1: KernelVersion = KernelVersion(6, 1);

/// The paths of what is wanted, with their values.
fn list(change: impl FnOnce(&mut Wants<'_>)) -> Vec<(&'static str, u64)> {
    list_with(&Conntrack::default(), change)
}

fn list_with<'a>(
    conntrack: &'a Conntrack,
    change: impl FnOnce(&mut Wants<'a>),
) -> Vec<(&'static str, u64)> {
    let mut wants = Wants {
        ipvs: false,
        strict_arp: false,
        conntrack,
        cpus: 2,
        kernel: LINUX_6_1,
    };
    change(&mut wants);
    let value = |sysctl: Sysctl| (sysctl.path, sysctl.wanted.value());
    wanted(&wants).into_iter().map(value).collect()
}

#[test]
fn nftables_takes_forwarding_and_room_for_connections() {
    let expected = [
        ("net/ipv4/ip_forward", 1),
        ("net/netfilter/nf_conntrack_max", 131_072),
        ("net/netfilter/nf_conntrack_tcp_timeout_established", 86_400),
        ("net/netfilter/nf_conntrack_tcp_timeout_close_wait", 3_600),
    ];
    assert_eq!(list(|_| {}), expected);
}

/// What is set for IPVS with this kernel.
fn of_ipvs(kernel: KernelVersion) -> Vec<(&'static str, u64)> {
    let all = list(|wants| {
        wants.ipvs = true;
        wants.kernel = kernel;
    });
    let own = all
        .iter()
        .filter_map(|(path, value)| Some((path.strip_prefix("net/ipv4/vs/")?, *value)));
    own.collect()
}

#[test]
fn ipvs_takes_its_own_and_which_depends_on_the_kernel() {
    let always = [
        ("conntrack", 1),
        ("expire_nodest_conn", 1),
        ("expire_quiescent_template", 1),
    ];
    assert_eq!(of_ipvs(KernelVersion(6, 2)), always);
    assert_eq!(of_ipvs(LINUX_6_1)[..3], always);
    let reuses = |kernel| of_ipvs(kernel).contains(&("conn_reuse_mode", 0));
    let kernels = [(4, 0), (4, 1), (5, 8), (5, 9)].map(|(a, b)| KernelVersion(a, b));
    assert_eq!(kernels.map(reuses), [false, true, true, false]);
}

#[test]
fn kernels_that_estimate_in_a_timer_estimate_nothing() {
    let estimates = |kernel| !of_ipvs(kernel).contains(&("run_estimation", 0));
    let kernels = [KernelVersion(4, 0), LINUX_6_1, KernelVersion(6, 2)];
    assert_eq!(kernels.map(estimates), [false, false, true]);
}

#[test]
fn what_is_not_configured_is_not_touched() {
    let nothing = Conntrack {
        max_per_core: 0,
        min: 131_072,
        tcp_established_timeout: None,
        tcp_close_wait_timeout: Some(Duration::ZERO),
        tcp_be_liberal: false,
        udp_timeout: None,
        udp_stream_timeout: None,
    };
    assert_eq!(list_with(&nothing, |_| {}), [("net/ipv4/ip_forward", 1)]);
    let paths: Vec<_> = list(|wants| wants.strict_arp = true).into_iter().collect();
    assert!(paths.contains(&("net/ipv4/conf/all/arp_ignore", 1)));
    assert!(paths.contains(&("net/ipv4/conf/all/arp_announce", 2)));
    assert!(
        !paths
            .iter()
            .any(|(path, _)| path.contains("route_localnet"))
    );
}

#[test]
fn room_for_connections_grows_with_the_cpus() {
    let of = |cpus| list(|wants| wants.cpus = cpus)[1].1;
    assert_eq!(
        (of(4), of(8), of(u32::MAX)),
        (131_072, 262_144, u64::from(u32::MAX))
    );
}

#[test]
fn settings_are_only_raised_and_each_change_is_said() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    for (name, text) in [
        ("low", "0\n"),
        ("high", "9\n"),
        ("on", "1\n"),
        ("odd", "a b\n"),
    ] {
        fs::write(path(name), text).unwrap();
    }
    let list = vec![
        exactly("low", 1, "so"),
        at_least("high", 5, "so"),
        exactly("on", 1, "so"),
        exactly("absent", 1, "so"),
        exactly("odd", 1, "so"),
    ];
    let said = |reports: Vec<Report>| {
        reports
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };

    let checked = check(root.path(), list.clone());
    assert_eq!(fs::read_to_string(path("low")).unwrap(), "0\n");
    assert_eq!(checked.iter().filter(|report| report.is_amiss()).count(), 2);
    assert!(said(checked).contains("sysctl low is 0, should be 1, and was left so: so"));

    let done = set(root.path(), list.clone());
    let done = said(done);
    assert!(
        done.starts_with("sysctl low = 1 (was 0): so\nsysctl high is as it should be: so\n"),
        "{done}"
    );
    assert!(
        done.contains("sysctl absent: this kernel has none\n"),
        "{done}"
    );
    assert!(done.contains("sysctl odd cannot be set to 1: "), "{done}");
    assert_eq!(fs::read_to_string(path("low")).unwrap(), "1");
    assert_eq!(fs::read_to_string(path("high")).unwrap(), "9\n");
    assert!(matches!(
        set(root.path(), list)[0].outcome,
        Outcome::AsWanted
    ));
}

#[test]
fn a_kernel_says_which_it_is() {
    for (text, expected) in [
        ("6.1.0-56-amd64\n", KernelVersion(6, 1)),
        ("5.15.0", KernelVersion(5, 15)),
        ("6.18-rc1", KernelVersion(6, 18)),
    ] {
        assert_eq!(text.parse::<KernelVersion>().unwrap(), expected);
    }
    for text in ["", "linux", "6", "6.", "99999999999.1"] {
        assert!(text.parse::<KernelVersion>().is_err(), "{text}");
    }
    KernelVersion::of_host().expect("this is Linux");
}

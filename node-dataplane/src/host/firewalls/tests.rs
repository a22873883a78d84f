//! Foreign firewalls: found, answered, and left as they were.

use std::process::Command;

use super::*;
use crate::host::testing::{in_namespace, not_tested, run};

fn nftables() -> Nftables {
    Nftables::connect().expect("the kernel has nftables")
}

/// The chains that drop what is forwarded, in short, with a mark at those that are open.
fn drops() -> Vec<String> {
    let drops = forward_drops(&mut nftables()).unwrap();
    let short = |drop: ForwardDrop| {
        let ChainKey { table, name } = drop.chain;
        let open = if drop.is_open { " open" } else { "" };
        format!("{} {} {name}{open}", table.family, table.name)
    };
    drops.into_iter().map(short).collect()
}

fn open_all() -> usize {
    let mut nftables = nftables();
    let drops = forward_drops(&mut nftables).unwrap();
    open(&mut nftables, &drops).unwrap().len()
}

const FOREIGN: &str = "
    table inet firewall {
      chain forward { type filter hook forward priority 0; policy drop; ip saddr 192.0.2.1 drop; }
      chain input { type filter hook input priority 0; policy drop; ct state new accept; }
    }
    table inet open {
      chain forward { type filter hook forward priority 0; policy accept; }
    }
    table inet asleep {
      flags dormant
      chain forward { type filter hook forward priority 0; policy drop; }
    }
    table bridge filter {
      chain FORWARD { type filter hook forward priority 0; policy drop; }
    }
";

#[test]
fn only_chains_that_drop_what_is_forwarded_are_found() {
    in_namespace(|| {
        assert!(drops().is_empty());
        run("nft", &[FOREIGN]);
        assert_eq!(drops(), ["inet firewall forward"]);
    });
}

#[test]
fn an_answer_is_given_once_at_the_end_and_taken_back_whole() {
    in_namespace(|| {
        run("nft", &[FOREIGN]);
        let before = run("nft", &["list", "ruleset"]);
        assert_eq!((open_all(), open_all()), (1, 0));
        assert_eq!(drops(), ["inet firewall forward open"]);
        let chain = run("nft", &["list", "chain", "inet", "firewall", "forward"]);
        let lines: Vec<_> = chain.lines().map(str::trim).collect();
        assert_eq!(
            lines[3..6],
            [
                "ip saddr 192.0.2.1 drop",
                "ct state established,related counter packets 0 bytes 0 accept comment \"meshlite: connections of Services\"",
                "ct status dnat counter packets 0 bytes 0 accept comment \"meshlite: connections of Services\"",
            ],
            "{chain}"
        );
        // Removed though the policy changed.
        run(
            "nft",
            &["add chain inet firewall forward { policy accept; }"],
        );
        assert_eq!(close(&mut nftables()).unwrap().len(), 1);
        run("nft", &["add chain inet firewall forward { policy drop; }"]);
        assert_eq!(close(&mut nftables()).unwrap().len(), 0);
        assert_eq!(run("nft", &["list", "ruleset"]), before);
    });
}

#[test]
fn iptables_can_still_read_the_table_that_our_answer_is_in() {
    if Command::new("iptables-nft").arg("-V").output().is_err() {
        return not_tested("iptables-nft is not installed");
    }
    in_namespace(|| {
        run("iptables-nft", &["-N", "DOCKER-USER"]);
        for program in ["iptables-nft", "ip6tables-nft"] {
            run(program, &["-P", "FORWARD", "DROP"]);
        }
        run("iptables-nft", &["-A", "FORWARD", "-j", "DOCKER-USER"]);
        let found = forward_drops(&mut nftables()).unwrap();
        let said: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert!(
            said[0].contains("chain FORWARD of table ip filter"),
            "{said:?}"
        );
        assert!(
            said[0].contains("as Docker sets it") && said[0].contains("--open-forward"),
            "{said:?}"
        );
        assert!(
            said[1].contains("table ip6 filter") && !said[1].contains("Docker"),
            "{said:?}"
        );

        assert_eq!(open_all(), 2);
        for program in ["iptables-nft", "ip6tables-nft"] {
            let rules = run(program, &["-S", "FORWARD"]);
            let ours = "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -m comment \
                        --comment \"meshlite: connections of Services\" -j ACCEPT";
            assert!(rules.trim_end().ends_with(ours), "{rules}");
            run(program, &["-A", "FORWARD", "-j", "ACCEPT"]);
        }
        assert_eq!(close(&mut nftables()).unwrap().len(), 2);
        let left = run("iptables-nft", &["-S", "FORWARD"]);
        assert_eq!(
            left,
            "-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n-A FORWARD -j ACCEPT\n"
        );
    });
}

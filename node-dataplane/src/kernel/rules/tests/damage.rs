//! What strangers' hands do to the table is seen, and made good.

use super::*;

fn nft(command: &str) {
    run("nft", &[command]);
}

/// Whether the table is what it is to be.
fn is_right() -> bool {
    let other = found();
    other.remains.is_empty() && other.is_whole && *other.entries() == wanted(&helpers())
}

#[test]
fn any_damage_of_the_skeleton_shows_as_nothing_and_the_next_change_makes_it_anew() {
    in_namespace(|| {
        let mut rules = programmed();
        let handle = || {
            let listed = run(
                "nft",
                &["-a", "list", "chain", "inet", "meshlite", "closed-ip"],
            );
            let line = listed.lines().find(|line| line.contains("reject")).unwrap();
            line.rsplit(' ').next().unwrap().to_owned()
        };
        let rule = format!("delete rule inet meshlite closed-ip handle {}", handle());
        for damage in [
            // First: another table has other handles.
            &rule,
            "delete table inet meshlite",
            "flush chain inet meshlite always",
            "add chain inet meshlite more",
            "add set inet meshlite more { type ipv4_addr; }",
            "add element inet meshlite vips-ip { 192.0.2.1 }",
            "flush map inet meshlite checks-ip",
        ] {
            nft(damage);
            rules.read().unwrap();
            assert!(rules.entries().is_empty(), "{damage}");
            assert_eq!(rules.clients(), &Clients::default());
            settled(&rules.apply(Some(clients()), helpers()));
            assert!(is_right(), "{damage}");
        }
    });
}

#[test]
fn damage_of_a_virtual_server_shows_there_alone() {
    in_namespace(|| {
        let mut rules = programmed();
        let web = key("TCP 10.96.0.1:80");
        for damage in [
            "delete element inet meshlite frontends-ip { 10.96.0.1 . 6 . 80 }",
            "flush set inet meshlite ranges-ip",
            "flush set inet meshlite locals-ip",
            "add element inet meshlite locals-ip { 10.96.0.1 . 6 . 80 . 10.0.0.1 . 1 }",
        ] {
            nft(damage);
            rules.read().unwrap();
            let wanted = wanted(&helpers());
            let differ = |key: &&Key| rules.entries().get(key) != wanted.get(key);
            let different: Vec<_> = wanted.keys().filter(differ).collect();
            assert_eq!(different, [&web], "{damage}");
            let again = [(web, helpers().remove(&web).unwrap())].into();
            settled(&rules.apply(None, again));
            assert!(is_right(), "{damage}");
        }
        nft("delete element inet meshlite frontends-ip { 10.96.0.1 . 6 . 80 }");
        rules.read().unwrap();
        assert_eq!(rules.entries()[&web], Helper::broken());
        settled(&rules.apply(None, [(web, None)].into()));
        assert!(!found().entries().contains_key(&web));
    });
}

#[test]
fn what_others_do_elsewhere_breaks_nothing() {
    in_namespace(|| {
        let mut rules = programmed();
        nft(
            "add table inet theirs; add chain inet theirs c { type filter hook input priority 0; }",
        );
        let web = key("TCP 10.96.0.1:80");
        settled(&rules.apply(None, [(web, Some(helper()))].into()));
        rules.read().unwrap();
        assert_eq!(rules.entries()[&web], helper());
        nft("delete table inet theirs");
        rules.read().unwrap();
        assert!(rules.remains.is_empty());
        assert_eq!(rules.entries().len(), helpers().len());
    });
}

//! Files that hold no configuration, or hold it badly.

use proptest::prelude::*;

use super::*;

/// Files, and what is said of them.
const FILES: &[(&str, &str)] = &[
    (
        "",
        "line 1: KubeProxyConfiguration: there is no KubeProxyConfiguration; give the file, the kubeadm.yaml that contains one, or the kube-proxy ConfigMap",
    ),
    (
        "kind: ClusterConfiguration\n---\nkind: ConfigMap\ndata: {a: b}\n",
        "line 1: KubeProxyConfiguration: there is no KubeProxyConfiguration, but ClusterConfiguration, a ConfigMap without config.conf; give the file, the kubeadm.yaml that contains one, or the kube-proxy ConfigMap",
    ),
    (
        "     38     mode: \"ipvs\"\n     39     ipvs:\n",
        "line 1: KubeProxyConfiguration: there is no KubeProxyConfiguration; remove the line numbers of the editor, and give the file, the kubeadm.yaml that contains one, or the kube-proxy ConfigMap",
    ),
    (
        "kind: KubeProxyConfiguration\napiVersion: kubeproxy.config.k8s.io/v1beta1\n",
        "line 2: apiVersion: `kubeproxy.config.k8s.io/v1beta1` is not known; write kubeproxy.config.k8s.io/v1alpha1",
    ),
    (
        "kind: KubeProxyConfiguration\n",
        "line 1: apiVersion: is not set; write kubeproxy.config.k8s.io/v1alpha1",
    ),
    (
        "kind: ConfigMap\ndata:\n  config.conf: |\n    kind: Other\n",
        "line 4: config.conf: holds no KubeProxyConfiguration",
    ),
];

#[test]
fn a_file_without_a_configuration_says_what_to_give() {
    for (text, mistake) in FILES {
        assert_eq!(mistakes(text), [*mistake], "{text}");
    }
}

#[test]
fn a_second_configuration_is_a_mistake() {
    assert_eq!(
        mistakes(&format!("{HEAD}---\n{HEAD}")),
        [
            "line 3: KubeProxyConfiguration: there is another KubeProxyConfiguration at line 1; leave one of them"
        ]
    );
}

#[test]
fn the_line_of_what_is_no_yaml_is_named() {
    let found = mistakes(&format!("kind: A\n---\n{HEAD}mode: \"ipvs\n"));
    assert!(
        found[0].starts_with("line 5: ") || found[0].starts_with("line 6: "),
        "{found:?}"
    );
    let twice = mistakes(&format!("{HEAD}mode: ipvs\nmode: nftables\n"));
    assert!(twice[0].contains("duplicate"), "{twice:?}");
}

#[test]
fn a_mistake_in_a_config_map_is_at_the_line_of_the_map() {
    let text = CONFIG_MAP.replace("strictARP", "strictArp");
    let line = 1 + text
        .lines()
        .position(|line| line.contains("strictArp"))
        .unwrap();
    let expected =
        format!("line {line}: ipvs.strictArp: unknown field; did you mean ipvs.strictARP?");
    assert_eq!(mistakes(&text), [expected]);
}

#[test]
fn what_is_large_deep_or_no_text_is_refused() {
    let large = vec![b' '; 1024 * 1024 + 1];
    let flow = format!("{HEAD}mode: {}", "[".repeat(100_000));
    let block = format!("{HEAD}mode:\n{}", "- ".repeat(100_000));
    let laughs: Vec<_> = ["a: &a x".to_owned()]
        .into_iter()
        .chain((b'b'..=b'l').map(|c| {
            let (this, last) = (char::from(c), char::from(c - 1));
            format!(
                "{this}: &{this} [{}*{last}]",
                format!("*{last}, ").repeat(8)
            )
        }))
        .collect();
    let laughs = laughs.join("\n");
    for input in [
        large,
        flow.into_bytes(),
        block.into_bytes(),
        laughs.into_bytes(),
        b"mode: \xff".to_vec(),
    ] {
        let mut config = Config::default();
        configure(&input, None, &mut config).unwrap_err();
    }
}

/// What a configuration and YAML are made of.
const WORDS: &[&str] = &[
    "mode",
    "ipvs",
    "iptables",
    "scheduler",
    "syncPeriod",
    "nodePortAddresses",
    "clusterCIDR",
    "conntrack",
    "min",
    "config.conf",
    "data",
    "kind",
    "KubeProxyConfiguration",
    "ConfigMap",
    "10.0.0.0/8",
    "30s",
    "-1",
    "1e400",
    "null",
    "true",
    "---",
    "...",
    "|",
    "&a",
    "*a",
    "!t",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    ": ",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "\"",
    "'",
    "#",
    "\t",
    "\u{feff}",
    "\u{2028}",
    "0x10",
];

fn scrap() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(WORDS).prop_map(str::to_owned);
    proptest::collection::vec(prop_oneof![9 => word, 1 => "\\PC{0,6}"], 0..60)
        .prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(configure(&bytes, None, &mut Config::default()));
    }

    #[test]
    fn no_scraps_of_a_configuration_make_it_panic(text in scrap()) {
        drop(configure(text.as_bytes(), None, &mut Config::default()));
        drop(configure(format!("{HEAD}{text}").as_bytes(), Some(Mode::Ipvs), &mut Config::default()));
    }

    #[test]
    fn no_line_that_is_changed_or_left_out_makes_it_panic(at in 0_usize..80, with in scrap()) {
        let mut lines: Vec<_> = CONFIG_MAP.lines().collect();
        let at = at % lines.len();
        lines[at] = &with;
        drop(configure(lines.join("\n").as_bytes(), None, &mut Config::default()));
    }
}

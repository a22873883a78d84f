//! Dependencies point one way: snapshot ← compile ← manifests ← control-plane; snapshot ← proto ← planes ← meshlite.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// What each crate of ours may depend on, of ours.
const ALLOWED: [(&str, &[&str]); 15] = [
    ("meshlite-snapshot", &[]),
    ("meshlite-proto", &["meshlite-snapshot"]),
    ("meshlite-compile", &["meshlite-snapshot"]),
    (
        "meshlite-manifests",
        &["meshlite-compile", "meshlite-snapshot"],
    ),
    (
        "meshlite-kubernetes",
        &["meshlite-compile", "meshlite-snapshot"],
    ),
    ("meshlite-golden", &[]),
    ("meshlite-runtime", &[]),
    ("meshlite-netlink", &[]),
    ("meshlite-ipvs", &["meshlite-netlink"]),
    ("meshlite-nft", &["meshlite-netlink"]),
    (
        "meshlite-control-plane",
        &[
            "meshlite-compile",
            "meshlite-kubernetes",
            "meshlite-manifests",
            "meshlite-proto",
            "meshlite-runtime",
            "meshlite-snapshot",
        ],
    ),
    (
        "meshlite-node",
        &[
            "meshlite-ipvs",
            "meshlite-netlink",
            "meshlite-nft",
            "meshlite-proto",
            "meshlite-runtime",
            "meshlite-snapshot",
        ],
    ),
    (
        "meshlite-ingress",
        &["meshlite-proto", "meshlite-runtime", "meshlite-snapshot"],
    ),
    (
        "meshlite",
        &[
            "meshlite-compile",
            "meshlite-control-plane",
            "meshlite-ingress",
            "meshlite-kubernetes",
            "meshlite-manifests",
            "meshlite-node",
            "meshlite-proto",
            "meshlite-runtime",
            "meshlite-snapshot",
        ],
    ),
    (
        "meshlite-tests",
        &[
            "meshlite-compile",
            "meshlite-control-plane",
            "meshlite-ingress",
            "meshlite-ipvs",
            "meshlite-kubernetes",
            "meshlite-manifests",
            "meshlite-netlink",
            "meshlite-nft",
            "meshlite-node",
            "meshlite-proto",
            "meshlite-runtime",
            "meshlite-snapshot",
        ],
    ),
];

/// Crates that the pure ones must not know: they bring I/O, clocks, randomness or the wire format.
const IMPURE: [&str; 8] = [
    "tokio", "kube", "tonic", "prost", "hyper", "axum", "fastrand", "rand",
];
const PURE: [&str; 3] = [
    "meshlite-snapshot",
    "meshlite-compile",
    "meshlite-manifests",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

/// Normal dependencies by crate.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(super::root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Metadata = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let normal = |package: Package| {
        let names = package
            .dependencies
            .into_iter()
            .filter(|d| d.kind.is_none())
            .map(|d| d.name);
        (package.name, names.collect())
    };
    metadata.packages.into_iter().map(normal).collect()
}

#[test]
fn crates_depend_only_on_what_is_below_them() {
    let allowed: BTreeMap<_, _> = ALLOWED.into_iter().collect();
    for (package, dependencies) in dependencies() {
        let Some(allowed) = allowed.get(package.as_str()) else {
            panic!("{package} has no place in the layers")
        };
        let ours = dependencies
            .iter()
            .filter(|name| name.starts_with("meshlite"));
        let wrong: Vec<_> = ours
            .filter(|name| !allowed.contains(&name.as_str()))
            .collect();
        assert!(wrong.is_empty(), "{package} must not depend on {wrong:?}");
    }
}

#[test]
fn pure_crates_know_no_runtime_and_no_wire() {
    let dependencies = dependencies();
    for package in PURE {
        let wrong: Vec<_> = IMPURE
            .into_iter()
            .filter(|name| dependencies[package].contains(*name))
            .collect();
        assert!(wrong.is_empty(), "{package} must not depend on {wrong:?}");
    }
}

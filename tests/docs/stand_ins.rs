//! What stands in for clusters and whole machines: programs that judge their arguments, and do nothing.

use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use meshlite_tests::programs::tool;
use serde::Deserialize;

use crate::root;

/// Programs that a reader has on the machine in question, and that nothing is known of here.
const SILENT: [&str; 11] = [
    "curl",
    "grpcurl",
    "ip6tables-restore",
    "ip6tables-save",
    "ipset",
    "iptables-restore",
    "iptables-save",
    "ipvsadm",
    "nft",
    "ss",
    "systemctl",
];

/// What the shell itself needs.
const PLAIN: [&str; 9] = [
    "bash", "cat", "grep", "head", "mkdir", "sed", "sh", "sleep", "xargs",
];

/// Objects of the namespace that no chart makes: the control plane does.
const MADE: [&str; 3] = [
    "configmap/meshlite-ca",
    "secret/meshlite-ca",
    "lease/meshlite-control-plane",
];

/// Fills a folder with them.
pub(crate) fn write(folder: &Path) {
    fs::create_dir_all(folder).expect("made");
    let own = root().join("tests/docs/stand-ins");
    for program in ["cargo", "helm", "kubectl", "make", "meshlite"] {
        symlink(own.join(program), folder.join(program)).expect("linked");
    }
    for program in SILENT {
        symlink(own.join("silent"), folder.join(program)).expect("linked");
    }
    for program in PLAIN {
        let found = tool(program).expect("there is a shell");
        symlink(found, folder.join(program)).expect("linked");
    }
}

/// Fills a folder with the names of the benchmarks that there are: they build in release, and run for minutes.
pub(crate) fn benchmarks(folder: &Path) {
    fs::create_dir_all(folder).expect("made");
    for entry in fs::read_dir(root().join("tests/bench")).expect("readable") {
        let name = entry.expect("an entry").file_name();
        symlink(
            root().join("tests/docs/stand-ins/silent"),
            folder.join(name),
        )
        .expect("linked");
    }
}

/// Settings that the stand-ins read.
pub(crate) fn settings(folder: &Path, meshlite: &Path) -> Vec<(&'static str, String)> {
    let text = |path: &Path| path.display().to_string();
    let objects = folder.join("objects");
    let all = objects_of_the_chart()
        .into_iter()
        .chain(MADE.map(str::to_owned));
    fs::write(&objects, all.collect::<Vec<_>>().join("\n") + "\n").expect("written");
    let program = |name: &str| tool(name).map(|path| text(&path)).unwrap_or_default();
    // Where the tests have their API server from; without one, only names are judged.
    let assets = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let folders = assets.into_iter().chain([root().join(".cache/kubernetes")]);
    let kubectl = folders
        .map(|folder| folder.join("kubectl"))
        .find(|path| path.is_file());
    vec![
        ("REAL_MESHLITE", text(meshlite)),
        ("REAL_HELM", program("helm")),
        ("REAL_MAKE", program("make")),
        (
            "REAL_KUBECTL",
            kubectl.map(|path| text(&path)).unwrap_or_default(),
        ),
        ("TREE", text(root())),
        ("OBJECTS", text(&objects)),
    ]
}

/// `kind/name` of everything that the chart renders in its golden files.
fn objects_of_the_chart() -> BTreeSet<String> {
    #[derive(Deserialize)]
    struct Object {
        kind: String,
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        name: String,
    }
    let golden = fs::read_dir(root().join("tests/helm/golden")).expect("readable");
    let files = golden.map(|entry| fs::read_to_string(entry.expect("an entry").path()));
    let mut objects = BTreeSet::new();
    for file in files.map_while(Result::ok) {
        for document in file.split("\n---\n") {
            if let Ok(object) = yaml_serde::from_str::<Object>(document) {
                objects.insert(format!(
                    "{}/{}",
                    object.kind.to_lowercase(),
                    object.metadata.name
                ));
            }
        }
    }
    objects
}

//! What the chart renders for the main combinations of values: as it was reviewed, and to an API server's liking.

use std::{collections::BTreeMap, fs, path::PathBuf};

use meshlite_tests::apiserver;

use crate::helm::{Helm, chart, file, text};

/// The files of values, by name.
fn cases() -> BTreeMap<String, PathBuf> {
    let files = fs::read_dir(file("cases")).unwrap();
    let named = files.map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, path)
    });
    named.collect()
}

#[test]
fn the_chart_lints_with_all_values() {
    let Some(helm) = Helm::or_say_so() else {
        return;
    };
    for (name, values) in cases() {
        let chart = chart();
        let linted = helm.run(["lint", "--strict", text(&chart), "--values", text(&values)]);
        linted.unwrap_or_else(|said| panic!("{name}: {said}"));
    }
}

/// `UPDATE_GOLDEN=1` writes what is rendered now; read the diff before it is committed.
#[test]
fn manifests_are_as_reviewed() {
    let Some(helm) = Helm::or_say_so() else {
        return;
    };
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differ = Vec::new();
    for (name, values) in cases() {
        let rendered = helm.template(&values);
        let golden = file("golden").join(format!("{name}.yaml"));
        if update {
            fs::write(&golden, &rendered).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != rendered {
            differ.push(name);
        }
    }
    assert!(
        differ.is_empty(),
        "{differ:?} are rendered otherwise: run UPDATE_GOLDEN=1 cargo test --test helm manifests_are, and read the diff"
    );
}

#[tokio::test]
async fn an_api_server_takes_every_manifest() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: meshlite}\n";
    api.apply(namespace).await.unwrap();
    for name in cases().keys() {
        let manifests = fs::read_to_string(file("golden").join(format!("{name}.yaml"))).unwrap();
        // The kinds of Prometheus' operator are not Kubernetes' own.
        let documents = manifests.split("\n---\n");
        let own = documents.filter(|document| !document.contains("monitoring.coreos.com/"));
        let own: Vec<_> = own.collect();
        let apply = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
        let applied = api.kubectl(&apply, &own.join("\n---\n")).await;
        applied.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn what_is_missing_is_said_with_what_to_set() {
    let Some(helm) = Helm::or_say_so() else {
        return;
    };
    let chart = chart();
    let chart = text(&chart);
    let refused = |set: &[&str]| {
        let arguments = [&["template", "meshlite", chart], set].concat();
        helm.run(arguments).unwrap_err()
    };
    let api_server = ["--set=kubernetes.apiServer=https://10.0.0.10:6443"];
    let addresses = "--set=controlPlane.addresses={10.0.0.11}";
    let said = refused(&[addresses]);
    assert!(said.contains("set kubernetes.apiServer to"), "{said}");
    let said = refused(&api_server);
    assert!(said.contains("set controlPlane.addresses to"), "{said}");
    // A name would need DNS, which needs Meshlite.
    let said = refused(&[
        addresses,
        "--set=kubernetes.apiServer=https://kubernetes.default",
    ]);
    assert!(said.contains("/kubernetes/apiServer"), "{said}");
    let said = refused(&[addresses, api_server[0], "--set=node.mod=ipvs"]);
    assert!(
        said.contains("additional properties 'mod' not allowed"),
        "{said}"
    );
}

//! The manifests in deploy/examples: good as they are, and the same after the wire.
#![cfg(test)]

use std::{collections::BTreeMap, path::Path};

use meshlite_compile::Settings;
use meshlite_control_plane::{OneShot, SourceConfig, compile_once};
use meshlite_manifests::admit::AdmitSettings;
use meshlite_proto::{decode, encode};
use meshlite_snapshot::{Finding, Severity};

/// What each example means, by file name.
fn examples() -> BTreeMap<String, OneShot> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples");
    let files = std::fs::read_dir(&folder)
        .expect("deploy/examples is readable")
        .map(|entry| entry.expect("entry").path());
    let compiled = files
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| {
            let name = path
                .file_name()
                .and_then(|n| n.to_str())
                .expect("a UTF-8 name")
                .to_owned();
            let source = SourceConfig::Files {
                manifests: path,
                state_dir: None,
                admit: AdmitSettings::default(),
                pods: None,
            };
            let settings = Settings {
                watch_ingress_without_class: true,
                external_names: true,
                ..Settings::default()
            };
            (
                name,
                compile_once(&source, &settings).expect("the example is readable"),
            )
        });
    let examples: BTreeMap<_, _> = compiled.collect();
    assert!(examples.len() >= 13, "only {} examples", examples.len());
    examples
}

fn shown(findings: &[Finding], keep: impl Fn(&Finding) -> bool) -> Vec<String> {
    let kept = findings.iter().filter(|finding| keep(finding));
    kept.map(ToString::to_string).collect()
}

#[test]
fn every_example_is_served_as_written() {
    for (name, example) in examples() {
        let errors = shown(&example.findings, |finding| {
            finding.severity == Severity::Error
        });
        assert!(errors.is_empty(), "{name}: {errors:#?}");
        assert!(
            !example.compiled.snapshot.services.is_empty(),
            "{name} has no Service"
        );
    }
}

#[test]
fn the_readme_names_every_example() {
    let readme = include_str!("../../deploy/examples/README.md");
    let missing: Vec<_> = examples()
        .into_keys()
        .filter(|name| !readme.contains(&format!("]({name})")))
        .collect();
    assert!(
        missing.is_empty(),
        "{missing:?} are not in deploy/examples/README.md"
    );
}

#[test]
fn the_legacy_ingress_is_converted_with_a_warning() {
    let example = &examples()["legacy-ingress.yaml"];
    let warnings = shown(&example.findings, |finding| {
        finding.object.kind == "Ingress"
    });
    assert!(
        warnings.iter().any(|w| w.contains("v1beta1")),
        "{warnings:#?}"
    );
    let hosts: Vec<_> = example
        .compiled
        .snapshot
        .route_tables
        .values()
        .map(|t| t.host.to_string())
        .collect();
    assert!(hosts.contains(&"shop.example.com".to_owned()), "{hosts:?}");
}

#[test]
fn what_is_compiled_survives_the_wire() {
    for (name, example) in examples() {
        for (resource_name, resource) in example.compiled.snapshot.iter() {
            let again = decode::body(resource.kind(), &encode::body(&resource));
            assert_eq!(
                again.as_ref(),
                Ok(&resource),
                "{name}: {} {resource_name}",
                resource.kind()
            );
        }
    }
}

//! Golden cases: `tests/cases/NAME/objects.yaml` compiles to `snapshot.yaml` and `findings.txt`, to the byte.
//!
//! `UPDATE_GOLDEN=1 cargo test -p meshlite-compile --test golden` writes what is compiled now; read the diff before
//! you commit it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

mod objects;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use meshlite_compile::{Compiled, Inputs, Settings, compile};
use meshlite_snapshot::Name;
use serde::Deserialize as _;
use serde_json::Value as Json;
use yaml_serde::Value as Yaml;

/// A document of this kind in `objects.yaml` changes the settings that the case is compiled with.
const SETTINGS: &str = "Settings";

#[test]
fn every_case_compiles_to_its_golden_files() {
    let mut cases: Vec<PathBuf> = fs::read_dir(cases())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 20, "only {} cases found", cases.len());
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differences = String::new();
    for case in &cases {
        let (inputs, settings) = read(case);
        let compiled = compile(&inputs, &settings);
        for (file, actual) in [
            ("snapshot.yaml", snapshot(&compiled)),
            ("findings.txt", findings(&compiled)),
        ] {
            let path = case.join(file);
            if update {
                fs::write(&path, &actual).unwrap();
                continue;
            }
            let expected = fs::read_to_string(&path).unwrap_or_default();
            if expected != actual {
                let diff = diff(&expected, &actual);
                writeln!(differences, "{}:\n{diff}", path.display()).unwrap();
            }
        }
    }
    assert!(
        differences.is_empty(),
        "compiled differs from golden files (- expected, + compiled); UPDATE_GOLDEN=1 accepts it\n{differences}"
    );
}

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn read(case: &Path) -> (Inputs, Settings) {
    let path = case.join("objects.yaml");
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let mut inputs = Inputs::default();
    let mut settings = Settings::default();
    for document in yaml_serde::Deserializer::from_str(&text) {
        let object = Json::deserialize(document)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if object["kind"] == SETTINGS {
            apply(&object, &mut settings);
        } else if let Err(problem) = objects::insert(&mut inputs, &object) {
            panic!("{}: {problem}:\n{object:#}", path.display());
        }
    }
    (inputs, settings)
}

fn apply(object: &Json, settings: &mut Settings) {
    if let Some(watch) = object["watchIngressWithoutClass"].as_bool() {
        settings.watch_ingress_without_class = watch;
    }
    if let Some(compat) = object["nginxCompat"].as_bool() {
        settings.nginx_compat = compat;
    }
    if let Some(external) = object["externalNames"].as_bool() {
        settings.external_names = external;
    }
    if let Some(name) = object["defaultCertificate"].as_str() {
        settings.default_certificate = Some(Name::new(name).unwrap());
    }
}

/// The snapshot without absent and empty fields, and the groups that the ingress gets.
fn snapshot(compiled: &Compiled) -> String {
    let mut sections = match yaml_serde::to_value(&compiled.snapshot).unwrap() {
        Yaml::Mapping(sections) => sections,
        other => panic!("a snapshot is a mapping, not {other:?}"),
    };
    let groups = yaml_serde::to_value(&compiled.ingress_endpoint_groups).unwrap();
    sections.insert("ingress_endpoint_groups".into(), groups);
    let mut value = Yaml::Mapping(sections);
    prune(&mut value);
    yaml_serde::to_string(&value).unwrap()
}

fn prune(value: &mut Yaml) {
    match value {
        Yaml::Mapping(mapping) => {
            mapping.iter_mut().for_each(|(_, value)| prune(value));
            mapping.retain(|_, value| !is_empty(value));
        }
        Yaml::Sequence(items) => items.iter_mut().for_each(prune),
        Yaml::Tagged(tagged) => prune(&mut tagged.value),
        _ => {}
    }
}

fn is_empty(value: &Yaml) -> bool {
    match value {
        Yaml::Null => true,
        Yaml::Sequence(items) => items.is_empty(),
        Yaml::Mapping(mapping) => mapping.is_empty(),
        Yaml::String(text) => text.is_empty(),
        _ => false,
    }
}

fn findings(compiled: &Compiled) -> String {
    let mut lines = String::new();
    for finding in &compiled.findings {
        writeln!(lines, "{finding}").unwrap();
    }
    lines
}

/// The lines between the common start and the common end, with a little of both.
fn diff(expected: &str, actual: &str) -> String {
    const CONTEXT: usize = 3;
    let expected: Vec<_> = expected.lines().collect();
    let actual: Vec<_> = actual.lines().collect();
    let alike =
        |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(a, b)| a == b).count();
    let start = alike(&mut expected.iter().zip(&actual));
    let shorter = expected.len().min(actual.len());
    let end = alike(&mut expected.iter().rev().zip(actual.iter().rev())).min(shorter - start);
    let mut out = format!("  @ line {}\n", start + 1);
    let mut lines = |mark: &str, lines: &[&str]| {
        for line in lines {
            writeln!(out, "  {mark} {line}").unwrap();
        }
    };
    lines(" ", &expected[start.saturating_sub(CONTEXT)..start]);
    lines("-", &expected[start..expected.len() - end]);
    lines("+", &actual[start..actual.len() - end]);
    let after = expected.len() - end;
    lines(" ", &expected[after..(after + CONTEXT).min(expected.len())]);
    out
}

#[test]
fn a_diff_shows_what_changed_and_where() {
    let diff = diff("a\nb\nc\nd\n", "a\nb\nx\ny\nd\n");
    assert_eq!(
        diff,
        "  @ line 3\n    a\n    b\n  - c\n  + x\n  + y\n    d\n"
    );
}

#[test]
fn every_case_says_what_it_is_about() {
    let mut silent = BTreeMap::new();
    for entry in fs::read_dir(cases()).unwrap() {
        let path = entry.unwrap().path().join("objects.yaml");
        let text = fs::read_to_string(&path).unwrap_or_default();
        if !text.starts_with("# ") {
            silent.insert(path, text.lines().next().unwrap_or_default().to_owned());
        }
    }
    assert!(
        silent.is_empty(),
        "begin with a comment that is a claim: {silent:?}"
    );
}

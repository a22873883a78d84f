//! No annotation of ingress-nginx is ignored in silence, and none is served without a golden case that shows how.

#![expect(clippy::unwrap_used, reason = "this is a test")]

mod objects;

use std::{fs, path::Path};

use meshlite_compile::{
    Inputs, Settings, compile,
    ingress_annotations::{ALL, Support},
};
use serde_json::json;

/// What is found on an Ingress with this annotation, as `reason field`.
fn found(annotation: &str, value: &str) -> Vec<String> {
    let mut inputs = Inputs::default();
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "name": "one", "namespace": "default", "annotations": { annotation: value } },
        "spec": {
            "ingressClassName": "meshlite",
            "defaultBackend": { "service": { "name": "web", "port": { "number": 80 } } },
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "ports": [{ "port": 80 }], "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"] },
    });
    for object in [ingress, service] {
        objects::insert(&mut inputs, &object).unwrap();
    }
    let compiled = compile(&inputs, &Settings::default());
    let found = compiled.findings.iter();
    let about = found.filter(|finding| finding.field.contains("annotations"));
    about
        .map(|finding| format!("{} {}", finding.reason, finding.field))
        .collect()
}

#[test]
fn what_is_not_served_is_found_unless_it_asks_for_nothing() {
    for known in ALL {
        let Support::Unsupported(nothing) = known.support else {
            continue;
        };
        for full in known.full_names() {
            let expected = format!("Unsupported metadata.annotations[{full}]");
            assert_eq!(found(&full, "x"), [expected], "{full}");
            for value in nothing {
                assert_eq!(found(&full, value), [""; 0], "{full}: {value}");
            }
        }
    }
}

#[test]
fn what_is_about_nginx_itself_is_not_found() {
    for known in ALL {
        if let Support::NoEffect = known.support {
            for full in known.full_names() {
                assert_eq!(found(&full, "x"), [""; 0], "{full}");
            }
        }
    }
}

#[test]
fn what_nobody_knows_is_found() {
    for annotation in ["nginx.ingress.kubernetes.io/new", "meshlite.io/new"] {
        let expected = format!("UnknownAnnotation metadata.annotations[{annotation}]");
        assert_eq!(found(annotation, "x"), [expected]);
    }
}

#[test]
fn what_is_served_has_a_golden_case() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let texts: Vec<String> = fs::read_dir(cases)
        .unwrap()
        .map(|case| fs::read_to_string(case.unwrap().path().join("objects.yaml")).unwrap())
        .collect();
    for known in ALL {
        if matches!(known.support, Support::Unsupported(_) | Support::NoEffect) {
            continue;
        }
        let is_written = |full: String| {
            texts
                .iter()
                .any(|text| text.contains(&format!("    {full}:")))
        };
        assert!(
            known.full_names().any(is_written),
            "no case of tests/cases has the annotation {}",
            known.name
        );
    }
}

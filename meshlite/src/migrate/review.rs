//! What becomes of Ingresses, annotation by annotation: pure.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::networking::v1::Ingress;
use meshlite_compile::{
    Compiled, Inputs, ObjectKey, Settings, compile,
    ingress_annotations::{self, Support},
};
use meshlite_snapshot::Finding;
use serde::Serialize;

use super::quirks;
use crate::output::columns;

const CLASS: &str = "kubernetes.io/ingress.class";
const CANARY: &str = "canary";
/// What is found only because nothing but Ingresses is read.
const ABSENT: [&str; 4] = [
    "ServiceNotFound",
    "ServiceInvalid",
    "SecretNotFound",
    "InvalidSecret",
];

/// What becomes of all of them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    rows: Vec<Row>,
    notes: Vec<&'static str>,
}

/// What becomes of one thing that an Ingress says, or that ingress-nginx does with it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) ingress: String,
    /// An annotation, or the path of a field.
    pub(super) what: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) value: String,
    pub(super) verdict: Verdict,
    pub(super) says: String,
}

/// How it compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    /// As in ingress-nginx.
    Same,
    /// It was about nginx itself.
    NoEffect,
    /// Served, and not as ingress-nginx does.
    Differs,
    /// Not served.
    Unsupported,
    /// Means nothing.
    Invalid,
}

/// Compares them all. Those of one class share hosts.
pub(super) fn review(ingresses: &[Arc<Ingress>], nginx_compat: bool) -> Report {
    let mut classes: BTreeMap<Option<&str>, Vec<&Arc<Ingress>>> = BTreeMap::new();
    for ingress in ingresses {
        classes.entry(class(ingress)).or_default().push(ingress);
    }
    let mut rows = Vec::new();
    for of_class in classes.values() {
        let compiled = compiled(of_class, nginx_compat);
        for ingress in of_class {
            rows.extend(rows_of(ingress, &compiled));
            rows.extend(quirks::of(ingress, &compiled.snapshot, nginx_compat));
        }
    }
    rows.sort_by(|a, b| (&a.ingress, &a.what, a.verdict).cmp(&(&b.ingress, &b.what, b.verdict)));
    Report {
        rows,
        notes: quirks::notes(nginx_compat),
    }
}

fn class(ingress: &Ingress) -> Option<&str> {
    let spec = ingress.spec.as_ref();
    let annotations = ingress.metadata.annotations.as_ref();
    spec.and_then(|spec| spec.ingress_class_name.as_deref())
        .or_else(|| annotations?.get(CLASS).map(String::as_str))
}

/// What a control plane makes of them, as if they were of its class.
fn compiled(ingresses: &[&Arc<Ingress>], nginx_compat: bool) -> Compiled {
    let mut inputs = Inputs::default();
    for ingress in ingresses {
        let mut ours = Ingress::clone(ingress);
        if let Some(spec) = &mut ours.spec {
            spec.ingress_class_name = None;
        }
        if let Some(annotations) = &mut ours.metadata.annotations {
            annotations.remove(CLASS);
        }
        inputs.ingresses.insert(key(ingress), Arc::new(ours));
    }
    let settings = Settings {
        watch_ingress_without_class: true,
        nginx_compat,
        ..Settings::default()
    };
    compile(&inputs, &settings)
}

pub(super) fn key(ingress: &Ingress) -> ObjectKey {
    let metadata = &ingress.metadata;
    ObjectKey::new(
        metadata.namespace.as_deref().unwrap_or("default"),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

fn rows_of(ingress: &Ingress, compiled: &Compiled) -> Vec<Row> {
    let key = key(ingress);
    let is_its = |finding: &&Finding| {
        let object = &finding.object;
        (&object.namespace, &object.name) == (&key.namespace, &key.name)
            && !ABSENT.contains(&&*finding.reason)
    };
    let mut found: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in compiled.findings.iter().filter(is_its) {
        found.entry(&finding.field).or_default().push(finding);
    }
    let annotations = ingress.metadata.annotations.iter().flatten();
    let is_canary = annotations.clone().any(|(annotation, value)| {
        annotation.ends_with("/canary") && matches!(value.trim(), "true" | "on" | "1")
    });
    let mut rows = Vec::new();
    for (annotation, value) in annotations {
        let field = format!("metadata.annotations[{annotation}]");
        let about = found.remove(field.as_str()).unwrap_or_default();
        if let Some(mut row) = row(annotation, value.trim(), is_canary, &about) {
            row.ingress = key.to_string();
            rows.push(row);
        }
    }
    // NotARegex: ingress-nginx takes it literally, too.
    let others = found.into_values().flatten();
    for finding in others.filter(|finding| finding.reason != "NotARegex") {
        rows.push(Row {
            ingress: key.to_string(),
            what: finding.field.clone(),
            value: String::new(),
            verdict: verdict(finding),
            says: finding.message.clone(),
        });
    }
    rows
}

/// What becomes of an annotation of ingress-nginx or of ours.
fn row(annotation: &str, value: &str, is_canary: bool, found: &[&Finding]) -> Option<Row> {
    let known = ingress_annotations::find(annotation);
    let (verdict, says) = match (known, found.iter().max_by_key(|finding| verdict(finding))) {
        // Others' annotations, such as cert-manager's.
        (None, None) => return None,
        (Some(known), _) if is_canary && !known.name.starts_with(CANARY) => {
            let says = "a canary has the settings of the main Ingress, as in ingress-nginx";
            (Verdict::NoEffect, says.to_owned())
        }
        (_, Some(worst)) => (verdict(worst), worst.message.clone()),
        (Some(known), None) => {
            let verdict = match known.support {
                // What is beyond the limits is found.
                Support::Same | Support::Within => Verdict::Same,
                Support::Differs => Verdict::Differs,
                Support::NoEffect | Support::Unsupported(_) => Verdict::NoEffect,
            };
            (verdict, known.says.to_owned())
        }
    };
    Some(Row {
        ingress: String::new(),
        what: annotation.to_owned(),
        value: value.to_owned(),
        verdict,
        says,
    })
}

fn verdict(finding: &Finding) -> Verdict {
    match &*finding.reason {
        // ingress-nginx does the same.
        "PathIsRegex" | "NoMainIngress" | "Conflict" | "NoEffect" => Verdict::Same,
        "Unsupported" | "UnsupportedBackend" => Verdict::Unsupported,
        "Approximated" => Verdict::Differs,
        _ => Verdict::Invalid,
    }
}

// === impl Report ===

impl Report {
    /// Whether all is served as by ingress-nginx.
    pub(super) fn is_same(&self) -> bool {
        self.rows.iter().all(|row| row.verdict <= Verdict::NoEffect)
    }

    /// The report for people.
    pub(super) fn print(&self) -> String {
        let rows: Vec<_> = self.rows.iter().map(Row::cells).collect();
        let mut text = columns(["INGRESS", "WHAT", "VERDICT", "IN MESHLITE"], &rows);
        text.push('\n');
        for note in &self.notes {
            text += &["note: ", note, "\n"].concat();
        }
        let count = |wanted| self.rows.iter().filter(|row| row.verdict == wanted).count();
        let sum = format!(
            "\n{} the same, {} without effect, {} differ, {} not supported, {} invalid\n",
            count(Verdict::Same),
            count(Verdict::NoEffect),
            count(Verdict::Differs),
            count(Verdict::Unsupported),
            count(Verdict::Invalid),
        );
        text + &sum
    }
}

// === impl Row ===

impl Row {
    fn cells(&self) -> [String; 4] {
        let verdict = match self.verdict {
            Verdict::Same => "same",
            Verdict::NoEffect => "no-effect",
            Verdict::Differs => "differs",
            Verdict::Unsupported => "unsupported",
            Verdict::Invalid => "invalid",
        };
        [
            self.ingress.clone(),
            self.what.clone(),
            verdict.to_owned(),
            self.says.clone(),
        ]
    }
}

//! What users paste: the manifests of public tutorials, with what Meshlite makes of each.
//!
//! A folder of manifests as they are written, good and bad; the snapshot beside each says which objects it holds and
//! what is reported.

use std::iter;

use meshlite_manifests::{ManifestFile, parse};
use meshlite_snapshot::SourceLocation;

fn render(file: &ManifestFile) -> String {
    let ManifestFile {
        path: _,
        objects,
        findings,
        skipped,
    } = file;
    let good = format!("good: {}", file.is_good());
    let objects = objects.iter().map(|located| {
        let SourceLocation { document, line, .. } = &located.source;
        format!(
            "object: {} at line {line} (document {document})",
            located.object.reference()
        )
    });
    let skipped = skipped
        .iter()
        .map(|(kind, count)| format!("skipped: {kind} ×{count}"));
    let findings = findings.iter().map(ToString::to_string);
    let lines: Vec<String> = iter::once(good)
        .chain(objects)
        .chain(skipped)
        .chain(findings)
        .collect();
    lines.join("\n")
}

#[test]
fn tutorial_manifests_have_their_outcomes() {
    insta::glob!("tutorials/*.yaml", |path| {
        let text = std::fs::read(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        insta::assert_snapshot!(render(&parse(name, &text)));
    });
}

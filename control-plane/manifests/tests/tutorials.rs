//! What users paste: the manifests of public tutorials, with what Meshlite makes of each.
//!
//! A folder of manifests as they are written, good and bad; the snapshot beside each says which objects it holds and
//! what is reported.

use std::fmt::Write as _;

use meshlite_manifests::{ManifestFile, parse};

fn render(file: &ManifestFile) -> String {
    let ManifestFile {
        path: _,
        objects,
        findings,
        skipped,
    } = file;
    let mut text = format!("good: {}\n", file.is_good());
    for located in objects {
        writeln!(
            text,
            "object: {} at line {} (document {})",
            located.object.reference(),
            located.source.line,
            located.source.document
        )
        .unwrap();
    }
    for (kind, count) in skipped {
        writeln!(text, "skipped: {kind} ×{count}").unwrap();
    }
    for finding in findings {
        writeln!(text, "{finding}").unwrap();
    }
    text
}

#[test]
fn tutorial_manifests_have_their_outcomes() {
    insta::glob!("tutorials/*.yaml", |path| {
        let text = std::fs::read(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        insta::assert_snapshot!(render(&parse(name, &text)));
    });
}

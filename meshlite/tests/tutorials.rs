//! What `meshlite get snapshot --manifests` prints for the manifests of public tutorials, good and bad.
//!
//! The digests are left out: they change with every field of a snapshot and say nothing to a reader.

use std::process::Command;

#[test]
fn a_tutorial_manifest_has_its_outcome() {
    insta::with_settings!({filters => vec![("[0-9a-f]{32}", "<digest>")]}, {
        insta::glob!("../../control-plane/manifests/tests/tutorials", "*.yaml", |path| {
            let output = Command::new(env!("CARGO_BIN_EXE_meshlite"))
                .args(["get", "snapshot", "--manifests"])
                .arg(path)
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nothing but the answer");
            insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
        });
    });
}

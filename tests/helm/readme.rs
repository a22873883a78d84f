//! The commands of the READMEs that install: helm takes them as they are written.

use std::{fs, path::Path, process::Command};

use meshlite_tests::programs::tool;

use crate::helm::{file, text};

/// The commands that install or upgrade, each as one line.
fn commands(readme: &str) -> Vec<String> {
    let joined = readme.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    lines
        .filter(|line| line.starts_with("helm install") || line.starts_with("helm upgrade"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn helm_takes_the_commands_of_the_readmes() {
    let Some(helm) = tool("helm") else {
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |name: &str| commands(&fs::read_to_string(root.join(name)).unwrap());
    let commands = [read("README.md"), read("deploy/README.md")].concat();
    assert!(commands.len() >= 4, "{commands:?}");
    let home = tempfile::tempdir().unwrap();
    for command in commands {
        let rendered = command
            .replacen("helm install", &format!("{} template", helm.display()), 1)
            .replacen("helm upgrade", &format!("{} template", helm.display()), 1)
            .replace("my-values.yaml", text(&file("cases/minimal.yaml")));
        let output = Command::new("sh")
            .args(["-c", &rendered])
            .current_dir(&root)
            .env("HOME", home.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {said}");
    }
}

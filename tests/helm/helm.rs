//! Runs helm on the chart.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use meshlite_tests::programs::tool;
use tempfile::TempDir;

/// helm, with settings of its own in a folder that goes with it.
pub(crate) struct Helm {
    program: PathBuf,
    home: TempDir,
}

impl Helm {
    /// None, and said aloud, where there is no helm; in CI that is a failure.
    pub(crate) fn or_say_so() -> Option<Self> {
        let program = tool("helm")?;
        let home = tempfile::tempdir().unwrap();
        Some(Self { program, home })
    }

    /// What it prints, or what it says is wrong.
    pub(crate) fn run(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<String, String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .env("HOME", self.home.path())
            .env_remove("KUBECONFIG")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(format!("{}{}", text(&output.stdout), text(&output.stderr)))
    }

    /// The manifests of the chart with a file of values, as a release in the namespace `meshlite`.
    pub(crate) fn template(&self, values: &Path) -> String {
        let chart = chart();
        let arguments = ["template", "meshlite", text(&chart), "--namespace=meshlite"];
        let values = format!("--values={}", values.display());
        let rendered = self.run(arguments.into_iter().chain([values.as_str()]));
        rendered.unwrap()
    }
}

/// The chart's folder.
pub(crate) fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/meshlite")
}

/// A file of these tests.
pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("helm")
        .join(name)
}

/// As text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

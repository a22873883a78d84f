//! Where the programs are: in `KUBEBUILDER_ASSETS`, else where `make tools` builds them.

use std::{
    env,
    path::{Path, PathBuf},
};

use super::Error;

/// The programs that make an API server, each as a file that can be started.
#[derive(Clone, Debug)]
pub struct Assets {
    pub(super) etcd: PathBuf,
    pub(super) kube_apiserver: PathBuf,
    pub(super) kube_controller_manager: PathBuf,
    pub(super) kubectl: PathBuf,
}

impl Assets {
    /// Finds each program by itself, so that a folder of envtest, which has no kube-controller-manager, is of use too.
    pub fn find() -> Result<Self, Error> {
        Ok(Self {
            etcd: find("etcd")?,
            kube_apiserver: find("kube-apiserver")?,
            kube_controller_manager: find("kube-controller-manager")?,
            kubectl: find("kubectl")?,
        })
    }

    /// kube-proxy, which is no part of an API server.
    pub(crate) fn kube_proxy() -> Result<PathBuf, Error> {
        find("kube-proxy")
    }

    /// As [`find`](Self::find) for a test: where a program is missing, says so aloud; in CI that is a failure.
    pub fn or_say_so() -> Option<Self> {
        match Self::find() {
            Ok(assets) => Some(assets),
            Err(missing) => {
                assert!(
                    env::var_os("CI").is_none(),
                    "{missing}, and CI must run this test"
                );
                report(&missing);
                None
            }
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a test that is not run is said to whoever runs it"
)]
fn report(missing: &Error) {
    eprintln!("NOT RUN: {missing}");
}

fn find(program: &'static str) -> Result<PathBuf, Error> {
    let given = env::var_os("KUBEBUILDER_ASSETS").map(|folder| Path::new(&folder).join(program));
    let built = root().join(".cache/kubernetes").join(program);
    given
        .into_iter()
        .chain([built])
        .find(|path| path.is_file())
        .ok_or(Error::NoProgram(program))
}

/// The root of the work tree.
fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

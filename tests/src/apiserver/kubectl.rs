//! kubectl, as its users run it.

use std::{path::Path, process::Stdio};

use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{ApiServer, Error};

impl ApiServer {
    /// Runs kubectl as the administrator, with something on its standard input; what it prints.
    pub async fn kubectl(&self, arguments: &[&str], stdin: &str) -> Result<String, Error> {
        self.kubectl_as(&self.kubeconfig, arguments, stdin).await
    }

    /// Runs kubectl with another [kubeconfig](Self::kubeconfig_for_token).
    pub async fn kubectl_as(
        &self,
        kubeconfig: &Path,
        arguments: &[&str],
        stdin: &str,
    ) -> Result<String, Error> {
        let no_start = |error| Error::NotStarted("kubectl", error);
        let mut child = Command::new(&self.assets.kubectl)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--cache-dir")
            .arg(self.credentials.file("kubectl-cache"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(no_start)?;
        let pipe = child.stdin.take();
        let write = async {
            if let Some(mut pipe) = pipe {
                // A kubectl that reads nothing may end first; what it says then is what counts.
                pipe.write_all(stdin.as_bytes()).await.ok();
            }
        };
        let ((), output) = tokio::join!(write, child.wait_with_output());
        let output = output.map_err(no_start)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(Error::Kubectl {
            arguments: arguments.join(" "),
            said: format!("{}{}", text(&output.stdout), text(&output.stderr)),
        })
    }

    /// `kubectl apply` of manifests; objects that name no namespace go to `default`.
    pub async fn apply(&self, yaml: &str) -> Result<(), Error> {
        self.kubectl(&["apply", "-f", "-"], yaml).await.map(drop)
    }

    /// `kubectl delete`, which returns when the object is gone. `object` is such as `service/web`.
    pub async fn delete(&self, namespace: &str, object: &str) -> Result<(), Error> {
        let arguments = ["delete", "--namespace", namespace, object];
        self.kubectl(&arguments, "").await.map(drop)
    }

    /// `kubectl patch` with a JSON merge patch. `object` is such as `service/web`.
    pub async fn patch(&self, namespace: &str, object: &str, patch: &str) -> Result<(), Error> {
        let arguments = [
            "patch",
            "--namespace",
            namespace,
            object,
            "--type=merge",
            "--patch",
            patch,
        ];
        self.kubectl(&arguments, "").await.map(drop)
    }
}

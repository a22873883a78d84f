//! What happens to API servers: they are killed, hang, and forget.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{ApiServer, Error, http::Request};

impl ApiServer {
    /// Kills kube-apiserver and the controllers at once. etcd keeps what they wrote.
    pub fn stop_api_server(&mut self) {
        self.controllers = None;
        self.kube_apiserver = None;
    }

    /// What kube-apiserver is told the next time that it starts, beyond what it always is.
    pub fn set_arguments(&mut self, arguments: &[&str]) {
        self.options.api_server_arguments = arguments.iter().copied().map(Into::into).collect();
    }

    /// Stops kube-apiserver where it is: connections stay open and nothing is answered.
    pub fn freeze(&self) -> Result<(), Error> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<(), Error> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), Error> {
        match &self.kube_apiserver {
            Some(process) => process.signal(signal),
            None => Ok(()),
        }
    }

    /// Makes etcd forget all that is not current. kube-apiserver still has the last changes in its own memory: only after
    /// it was stopped and started, a watch or a list from an earlier resourceVersion is answered with 410 Gone.
    pub async fn compact_etcd(&self) -> Result<(), Error> {
        let status = self
            .etcd_request("/v3/maintenance/status", &json!({}))
            .await?;
        let revision = &status["header"]["revision"];
        let compaction = json!({ "revision": revision, "physical": true });
        self.etcd_request("/v3/kv/compaction", &compaction).await?;
        Ok(())
    }

    /// etcd's gRPC API as JSON.
    async fn etcd_request(&self, path: &str, body: &Value) -> Result<Value, Error> {
        let request = Request {
            method: "POST",
            path,
            media_type: "application/json",
            body: Some(body),
        };
        let answer = request.send(self.etcd_port.number(), None).await;
        request.read(answer)
    }
}

//! Starting the servers, each as soon as the one before it can answer.

use std::time::Duration;

use super::{
    ApiServer, Assets, Credentials, Error, Guardian, Options, Process, ReservedPort, http::Request,
    servers, wait::within,
};

/// For one server; a cold page cache and a busy machine included.
const LIMIT: Duration = Duration::from_mins(2);

impl ApiServer {
    /// Starts all of it, and returns when Pods and Services can be made in the namespace `default`.
    pub async fn start(assets: Assets, options: Options) -> Result<Self, Error> {
        let guardian = Guardian::new()?;
        let credentials = Credentials::new(guardian.folder())?;
        let port = ReservedPort::new().map_err(Error::Port)?;
        let etcd_port = ReservedPort::new().map_err(Error::Port)?;
        let url = format!("https://127.0.0.1:{}", port.number());
        let kubeconfig = credentials.kubeconfig_for_certificate("admin", &url)?;
        let controllers_kubeconfig = credentials.kubeconfig_for_certificate("controllers", &url)?;
        let etcd = servers::etcd(&assets, &guardian, &etcd_port)?;
        let mut server = Self {
            assets,
            options,
            credentials,
            kubeconfig,
            controllers_kubeconfig,
            port,
            etcd_port,
            kube_apiserver: None,
            controllers: None,
            etcd,
            guardian,
        };
        server.start_api_server().await?;
        server.wait_for_service_account("default").await?;
        Ok(server)
    }

    /// Starts kube-apiserver where it is stopped, on the same port with the same data, and waits until it is ready. The
    /// controllers start with it, so that they do not sit out a backoff from the time without it.
    pub async fn start_api_server(&mut self) -> Result<(), Error> {
        if self.kube_apiserver.is_some() {
            return Ok(());
        }
        let ports = (&self.port, &self.etcd_port);
        let mut process = servers::kube_apiserver(
            &self.assets,
            &self.guardian,
            &self.credentials,
            ports,
            &self.options.api_server_arguments,
        )?;
        self.wait_until_ready(&mut process).await?;
        self.kube_apiserver = Some(process);
        let controllers = servers::kube_controller_manager(
            &self.assets,
            &self.guardian,
            &self.controllers_kubeconfig,
        )?;
        self.controllers = Some(controllers);
        Ok(())
    }

    async fn wait_until_ready(&mut self, process: &mut Process) -> Result<(), Error> {
        let request = Request {
            method: "GET",
            path: "/readyz",
            media_type: "application/json",
            body: None,
        };
        let (port, tls) = (self.port.number(), &self.credentials.client);
        let etcd = &mut self.etcd;
        // A server that has ended cannot become ready: that ends the wait, with the reason inside.
        let ready = within(LIMIT, async || {
            if let Err(ended) = etcd.check().and_then(|()| process.check()) {
                return Ok(Err(ended));
            }
            match request.send(port, Some(tls)).await {
                Ok(answer) if answer.status == 200 => Ok(Ok(())),
                Ok(answer) => Err(answer.body),
                Err(error) => Err(error.to_string()),
            }
        });
        match ready.await {
            Ok(ready_or_ended) => ready_or_ended,
            Err(nearest) => Err(Error::NotReady {
                name: "kube-apiserver",
                seconds: LIMIT.as_secs(),
                nearest,
                log: process.tail(),
            }),
        }
    }

    /// Waits until the controllers have made a namespace's `default` service account, which every Pod in it needs.
    pub(super) async fn wait_for_service_account(&self, namespace: &str) -> Result<(), Error> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        let there = within(LIMIT, async || self.get(&path).await);
        match there.await {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::NotReady {
                name: "kube-controller-manager",
                seconds: LIMIT.as_secs(),
                nearest: error.to_string(),
                log: self
                    .controllers
                    .as_ref()
                    .map(Process::tail)
                    .unwrap_or_default(),
            }),
        }
    }
}

//! Namespaces, Nodes and Pods, made as a cluster would make them.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::{Value, json};

use super::{ApiServer, Error};

/// A Pod that nothing runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pod<'a> {
    /// Which must be there, with its `default` service account.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What Services select it by.
    pub labels: &'a [(&'a str, &'a str)],
    /// The Node that it is on; the Node need not be there.
    pub node: &'a str,
    /// Its addresses, at most one of each family.
    pub ips: &'a [IpAddr],
    /// Whose tokens it may have; `default` where empty.
    pub service_account: &'a str,
}

impl ApiServer {
    /// Makes a namespace whose name starts with this, and that no other test of this process has.
    pub async fn namespace(&self, prefix: &str) -> Result<String, Error> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let body = json!({"metadata": {"name": name}});
        self.request("POST", "/api/v1/namespaces", Some(&body))
            .await?;
        self.wait_for_service_account(&name).await?;
        Ok(name)
    }

    /// Adds a Node that is ready, in a zone, with its internal addresses.
    pub async fn add_node(
        &self,
        name: &str,
        zone: &str,
        addresses: &[IpAddr],
    ) -> Result<(), Error> {
        let labels = json!({"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone});
        let node = json!({"metadata": {"name": name, "labels": labels}});
        self.request("POST", "/api/v1/nodes", Some(&node)).await?;
        let addresses: Vec<_> = addresses
            .iter()
            .map(|address| json!({"type": "InternalIP", "address": address}))
            .collect();
        let status = json!({"status": {"addresses": addresses, "conditions": [condition(true)]}});
        let path = format!("/api/v1/nodes/{name}/status");
        self.request("PATCH", &path, Some(&status)).await.map(drop)
    }

    /// Adds a Pod that runs on its Node, has its addresses and is not ready.
    pub async fn add_pod(&self, pod: Pod<'_>) -> Result<(), Error> {
        let account = match pod.service_account {
            "" => "default",
            named => named,
        };
        let labels: BTreeMap<_, _> = pod.labels.iter().copied().collect();
        let body = json!({
            "metadata": {"name": pod.name, "labels": labels},
            "spec": {
                "nodeName": pod.node,
                "serviceAccountName": account,
                "containers": [{"name": "main", "image": "none"}],
            },
        });
        let path = format!("/api/v1/namespaces/{}/pods", pod.namespace);
        self.request("POST", &path, Some(&body)).await?;
        let ips: Vec<_> = pod.ips.iter().map(|ip| json!({"ip": ip})).collect();
        let status = json!({"phase": "Running", "podIPs": ips, "conditions": [condition(false)]});
        let mut status = json!({ "status": status });
        if let Some(first) = pod.ips.first() {
            status["status"]["podIP"] = json!(first);
        }
        let path = format!("{path}/{}/status", pod.name);
        self.request("PATCH", &path, Some(&status)).await.map(drop)
    }

    /// Says that a Pod is ready or is not, as its kubelet would.
    pub async fn set_pod_ready(
        &self,
        namespace: &str,
        name: &str,
        ready: bool,
    ) -> Result<(), Error> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/status");
        let status = json!({"status": {"conditions": [condition(ready)]}});
        self.request("PATCH", &path, Some(&status)).await.map(drop)
    }

    /// Deletes a Pod. With no seconds of grace it is gone at once; with some it stays, terminating, until it is deleted
    /// with none, as there is no kubelet that would end it.
    pub async fn delete_pod(
        &self,
        namespace: &str,
        name: &str,
        grace_seconds: u32,
    ) -> Result<(), Error> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let options = json!({ "gracePeriodSeconds": grace_seconds });
        self.request("DELETE", &path, Some(&options))
            .await
            .map(drop)
    }
}

fn condition(ready: bool) -> Value {
    let status = if ready { "True" } else { "False" };
    json!({"type": "Ready", "status": status})
}

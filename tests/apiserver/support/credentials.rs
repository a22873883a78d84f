//! Tokens of service accounts as files, and connections with them.

use std::{fs, net::IpAddr, path::PathBuf, time::Duration};

use meshlite_proto::{
    connect::{Ca, Credentials, SERVER_NAME, Security, Tls},
    subscribe::ClientConfig,
    v1,
};
use meshlite_snapshot::Topic;
use meshlite_tests::apiserver::{ApiServer, BoundTo, Pod, TokenRequest, eventually};
use tempfile::TempDir;

use super::Cluster;

/// The audience of tokens for a control plane.
pub(crate) const AUDIENCE: &str = "meshlite";

/// A Pod's token in a file, and the CA to trust.
pub(crate) struct Identity {
    pub(crate) token: String,
    ca: String,
    folder: TempDir,
}

impl Cluster {
    /// The CA that control planes of this namespace have published.
    pub(crate) async fn ca(&self, api: &ApiServer) -> String {
        let path = format!(
            "/api/v1/namespaces/{}/configmaps/meshlite-ca",
            self.namespace
        );
        eventually("the CA is published", async || {
            let map = api.get(&path).await.map_err(|error| error.to_string())?;
            let ca = map["data"]["ca.crt"].as_str().map(str::to_owned);
            ca.ok_or_else(|| map.to_string())
        })
        .await
    }

    /// A token of a Pod with this service account on this node; the Pod has the account's name.
    pub(crate) async fn pod_token(
        &self,
        api: &ApiServer,
        account: &str,
        node: &str,
        audience: &str,
    ) -> String {
        let ips: [IpAddr; 0] = [];
        let path = format!("/api/v1/namespaces/{}/pods/{account}", self.namespace);
        if api.get(&path).await.is_err() {
            // The Node is what makes its name a claim.
            api.add_node(node, "zone", &[]).await.ok();
            let pod = Pod {
                namespace: &self.namespace,
                name: account,
                node,
                ips: &ips,
                service_account: account,
                ..Pod::default()
            };
            api.add_pod(pod).await.unwrap();
        }
        let token = api.token(TokenRequest {
            namespace: &self.namespace,
            service_account: account,
            audience,
            lifetime: Duration::from_mins(30),
            bound_to: Some(BoundTo::Pod(account)),
        });
        token.await.unwrap()
    }

    /// Who a Pod with this service account on this node is.
    pub(crate) async fn identity(&self, api: &ApiServer, account: &str, node: &str) -> Identity {
        let token = self.pod_token(api, account, node, AUDIENCE).await;
        Identity::new(self.ca(api).await, &token)
    }
}

impl Identity {
    /// The bearer of this token.
    pub(crate) fn new(ca: String, token: &str) -> Self {
        let mut identity = Self {
            token: String::new(),
            ca,
            folder: tempfile::tempdir().unwrap(),
        };
        identity.renew(token);
        identity
    }

    /// Another one with the same CA.
    pub(crate) fn with(&self, token: &str) -> Self {
        Self::new(self.ca.clone(), token)
    }

    /// Puts another token into the file.
    pub(crate) fn renew(&mut self, token: &str) {
        fs::write(self.file(), token).unwrap();
        token.clone_into(&mut self.token);
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// TLS with the token.
    pub(crate) fn security(&self) -> Security {
        self.tls(Credentials::TokenFile(self.file()))
    }

    /// TLS without a token.
    pub(crate) fn anonymous(&self) -> Security {
        self.tls(Credentials::None)
    }

    fn tls(&self, credentials: Credentials) -> Security {
        Security::Tls(Tls {
            ca: Ca::Pem(self.ca.clone().into_bytes()),
            server_name: SERVER_NAME.to_owned(),
            credentials,
        })
    }

    /// A node of this name that follows a replica.
    pub(crate) fn node(&self, url: &str, node: &str) -> ClientConfig {
        ClientConfig {
            endpoints: vec![url.to_owned()],
            identity: v1::ClientIdentity {
                node_name: node.to_owned(),
                ..v1::ClientIdentity::default()
            },
            role: v1::Role::L4Node,
            topics: Topic::NODE.to_vec(),
            security: self.security(),
            cache: None,
        }
    }
}

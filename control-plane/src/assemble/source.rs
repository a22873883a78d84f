//! Where objects come from, and for an API server: what is shared and written there.

use std::{path::PathBuf, sync::Arc};

use meshlite_compile::Settings;
use meshlite_kubernetes::{Client, Leadership, TrustStore};
use meshlite_manifests::admit::AdmitSettings;

use super::{BindError, Gate};
use crate::{
    KubernetesConfig, PodRuntime, SourceConfig,
    peers::Peers,
    pipeline::{FilePipeline, Output, Source},
    report::Reporter,
    stream::Discovery,
    tls::Store,
    watch::files::{AllocationStore, Reader},
};

/// The Secret and the ConfigMap of our CA.
const CA: &str = "meshlite-ca";

/// A source, before it is opened.
pub(super) enum Origin {
    Files {
        manifests: PathBuf,
        state_dir: Option<PathBuf>,
        admit: Box<AdmitSettings>,
        pods: Option<Arc<dyn PodRuntime>>,
    },
    Cluster(Box<KubernetesConfig>, Client),
}

/// Who else there is, and who writes.
#[derive(Debug)]
pub(super) struct Replicas {
    pub(super) peers: Peers,
    pub(super) leadership: Leadership,
    /// None where there is nowhere to write.
    pub(super) reporter: Option<Reporter>,
}

impl Origin {
    pub(super) async fn new(config: SourceConfig) -> Result<Self, BindError> {
        Ok(match config {
            SourceConfig::Kubernetes(config) => {
                let client = config.connection.client().await?;
                Self::Cluster(Box::new(config), client)
            }
            SourceConfig::Files {
                manifests,
                state_dir,
                admit,
                pods,
            } => Self::Files {
                manifests,
                state_dir,
                admit: Box::new(admit),
                pods,
            },
        })
    }

    /// The API server, where it is one.
    pub(super) fn client(&self) -> Option<Client> {
        match self {
            Self::Cluster(_, client) => Some(client.clone()),
            Self::Files { .. } => None,
        }
    }

    /// Where the CA is kept that we may make for ourselves.
    pub(super) fn ca(&self) -> Store {
        match self {
            Self::Cluster(config, client) => {
                Store::Kubernetes(TrustStore::new(client.clone(), &config.namespace, CA))
            }
            Self::Files { state_dir, .. } => state_dir.clone().map_or(Store::Memory, Store::Folder),
        }
    }

    /// The source, and the others who have the same.
    pub(super) fn open(
        self,
        settings: Settings,
        output: Output,
        discovery: &Discovery,
        replica: &str,
        gate: &Gate,
    ) -> Result<(Source, Replicas), BindError> {
        let (manifests, state_dir, admit, pods) = match self {
            Self::Cluster(config, client) => {
                let source = Source::cluster(client.clone(), &config, settings, output);
                let replicas = Replicas::of(&config, client, &source, discovery, replica, gate);
                return Ok((source, replicas));
            }
            Self::Files {
                manifests,
                state_dir,
                admit,
                pods,
            } => (manifests, state_dir, admit, pods),
        };
        let reader = Reader::open(&manifests).map_err(|error| BindError::Manifests {
            path: manifests,
            error,
        })?;
        let allocations =
            AllocationStore::open(state_dir.as_deref()).map_err(|error| BindError::StateDir {
                path: state_dir.unwrap_or_default(),
                error,
            })?;
        let pipeline = FilePipeline::new(settings, *admit, pods, allocations, output);
        let source = Source::Files {
            reader,
            pipeline: Box::new(pipeline),
        };
        // Nobody else serves these files, and nothing is written back to them.
        let alone = Replicas {
            peers: Peers::none(discovery.clients.clone(), replica),
            leadership: Leadership::none(),
            reporter: None,
        };
        Ok((source, alone))
    }
}

impl Replicas {
    fn of(
        config: &KubernetesConfig,
        client: Client,
        source: &Source,
        discovery: &Discovery,
        replica: &str,
        gate: &Gate,
    ) -> Self {
        let clients = discovery.clients.clone();
        let views = discovery.views.clone();
        let peers = match config.peer_service.clone() {
            Some(service) => {
                let security = gate.to_peers.clone();
                Peers::of(clients, replica, service, views.clone(), security)
            }
            None => Peers::none(clients, replica),
        };
        let (reporter, leadership) = Reporter::new(
            config,
            client,
            source.facts(),
            views,
            peers.clone(),
            Arc::clone(&discovery.metrics),
        );
        Self {
            peers,
            leadership,
            reporter: Some(reporter),
        }
    }
}

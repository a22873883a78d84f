//! A source and what is made of it: files, or an API server.

use std::{collections::BTreeSet, sync::Arc};

use meshlite_compile::Settings;
use meshlite_kubernetes::{Client, Feed, Watch};
use tokio::{sync::watch, task::JoinError};
use tokio_util::sync::CancellationToken;

use super::{
    Output, cluster,
    files::{self, FilePipeline},
    observed::Observed,
};
use crate::{
    balance::AllFactors,
    config::KubernetesConfig,
    watch::{
        Facts,
        files::{Reader, watch as watch_files},
    },
};

/// Where objects come from, and the pipeline that publishes what they mean.
#[derive(Debug)]
pub(crate) enum Source {
    Files {
        reader: Reader,
        pipeline: Box<FilePipeline>,
    },
    Cluster {
        watch: Watch,
        feed: Feed,
        settings: Settings,
        output: Box<Output>,
    },
}

impl Source {
    /// The objects of an API server.
    pub(crate) fn cluster(
        client: Client,
        config: &KubernetesConfig,
        settings: Settings,
        output: Output,
    ) -> Self {
        let namespaces = config.watch_namespaces.iter().cloned().collect();
        // The default certificate may be elsewhere.
        let certificate = settings.default_certificate.as_ref();
        let elsewhere: BTreeSet<_> = certificate
            .and_then(|name| Some(name.as_str().split_once('/')?.0.to_owned()))
            .into_iter()
            .collect();
        let (watch, feed) = Watch::new(client, &namespaces, &elsewhere);
        Self::Cluster {
            watch,
            feed,
            settings,
            output: Box::new(output),
        }
    }

    /// What is known of the objects, for whoever writes something back.
    pub(crate) fn facts(&self) -> watch::Receiver<Arc<Facts>> {
        match self {
            Self::Files { pipeline, .. } => pipeline.facts(),
            Self::Cluster { output, .. } => output.facts.subscribe(),
        }
    }

    /// Watches and publishes until `stop`, with what load asks for. `first` is awaited once something was published.
    pub(crate) async fn run(
        self,
        factors: watch::Receiver<Arc<AllFactors>>,
        first: impl Future<Output = ()>,
        stop: CancellationToken,
    ) -> Result<(), JoinError> {
        let observed = Observed(factors);
        match self {
            Self::Files { reader, pipeline } => {
                let (loads, loaded) = watch::channel(None);
                let watching = watch_files(reader, loads, pipeline.sources(), stop.clone());
                let publishing = Box::pin(files::run(*pipeline, loaded, observed, first, stop));
                tokio::try_join!(watching, publishing)?;
            }
            Self::Cluster {
                watch,
                feed,
                settings,
                output,
            } => {
                let watching = watch.run(stop.clone());
                let publishing =
                    Box::pin(cluster::run(settings, *output, feed, observed, first, stop));
                tokio::try_join!(watching, publishing)?;
            }
        }
        Ok(())
    }
}

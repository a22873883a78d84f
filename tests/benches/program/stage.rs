//! What measuring takes beside a node: a runtime, a folder, sources, and control planes on them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};

use crate::{
    director::{self, Remote},
    objects::Size,
    scene::{ControlPlane, Scene},
    source::Source,
};

/// All of it.
pub(crate) struct Stage {
    runtime: Runtime,
    folder: TempDir,
    /// When the run ends.
    until: Instant,
}

/// A source with a control plane on it. Dropped, it ends.
pub(crate) struct Set {
    control_plane: ControlPlane,
    _source: Arc<Source>,
}

// === impl Stage ===

impl Stage {
    pub(crate) fn new(until: Instant) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let folder = tempfile::Builder::new()
            .prefix("meshlite-bench-")
            .tempdir()?;
        Ok(Self {
            runtime,
            folder,
            until,
        })
    }

    /// How much time is left, once so much of it is kept. An error if none is.
    pub(crate) fn time_but(&self, kept: Duration) -> anyhow::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        let left = left.saturating_sub(kept);
        ensure!(!left.is_zero(), "no time is left for it");
        Ok(left)
    }

    pub(crate) fn runtime(&self) -> &Handle {
        self.runtime.handle()
    }

    /// An API server with all objects.
    pub(crate) fn on_api_server(&self, size: Size) -> anyhow::Result<Set> {
        self.set(self.runtime.block_on(Source::server(size))?)
    }

    /// Manifests with all objects.
    pub(crate) fn on_manifests(&self, size: Size) -> anyhow::Result<Set> {
        self.set(Source::folder(size)?)
    }

    fn set(&self, source: Source) -> anyhow::Result<Set> {
        let source = Arc::new(source);
        let start = async {
            let remote = Remote(director::listen(Arc::clone(&source)).await?);
            ControlPlane::start(&source, remote, self.folder.path()).await
        };
        let control_plane = self.runtime.block_on(start)?;
        Ok(Set {
            control_plane,
            _source: source,
        })
    }
}

// === impl Set ===

impl Set {
    pub(crate) fn scene(&self) -> &Scene {
        &self.control_plane.scene
    }
}

//! From loaded files to what is published: admit, compile, publish, and say what is wrong.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use meshlite_compile::{Compiler, Inputs, Interner, Settings};
use meshlite_manifests::{
    ManifestFile,
    admit::{AdmitSettings, Admitted, RunningPod, admit, workloads},
};
use meshlite_snapshot::{Finding, ObjectRef, SourceLocation};
use tokio::{sync::watch, task::JoinError, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Output,
    observed::{self, Observed},
};
use crate::{
    PodRuntime,
    balance::AllFactors,
    clock,
    publish::Pace,
    watch::{
        Facts, Followed, Sources,
        files::{AllocationStore, Loaded, Loads},
    },
};

/// How long after allocations could not be written that is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(10);

/// Turns what is loaded into what is published. The one writer of allocations.
#[derive(Debug)]
pub(crate) struct FilePipeline {
    admit: AdmitSettings,
    pods: Option<Arc<dyn PodRuntime>>,
    allocations: AllocationStore,
    compiler: Compiler,
    /// What the compiler was given.
    inputs: Inputs,
    names: Interner,
    output: Output,
}

/// Publishes what is loaded whenever it changes, at the pace that the changes allow, and says once when it was the
/// first time.
pub(crate) async fn run(
    mut pipeline: FilePipeline,
    mut loads: Loads,
    mut observed: Observed,
    first: impl Future<Output = ()>,
    stop: CancellationToken,
) -> Result<(), JoinError> {
    let mut pace = Pace::default();
    let mut first = Some(first);
    loop {
        let due = async {
            loads.changed().await.ok()?;
            tokio::time::sleep_until(pace.due(Instant::now())).await;
            Some(())
        };
        tokio::select! {
            factors = observed.next() => {
                let turn = tokio::task::spawn_blocking(move || {
                    pipeline.balance(factors);
                    pipeline
                });
                pipeline = turn.await?;
                continue;
            }
            due = due => if due.is_none() { return Ok(()); },
            () = tokio::time::sleep(SAVE_AGAIN), if !pipeline.allocations.is_saved() => {}
            () = stop.cancelled() => return Ok(()),
        }
        let Some(loaded) = loads.borrow_and_update().clone() else {
            continue;
        };
        pace.published(Instant::now());
        let turn = tokio::task::spawn_blocking(move || {
            pipeline.turn(&loaded);
            pipeline
        });
        pipeline = turn.await?;
        if let Some(first) = first.take() {
            first.await;
        }
    }
}

impl FilePipeline {
    /// A pipeline that has seen no file.
    pub(crate) fn new(
        settings: Settings,
        admit: AdmitSettings,
        pods: Option<Arc<dyn PodRuntime>>,
        allocations: AllocationStore,
        output: Output,
    ) -> Self {
        Self {
            admit,
            pods,
            allocations,
            compiler: Compiler::new(settings),
            inputs: Inputs::default(),
            names: Interner::default(),
            output,
        }
    }

    pub(super) fn facts(&self) -> watch::Receiver<Arc<Facts>> {
        self.output.facts.subscribe()
    }

    pub(super) fn sources(&self) -> Sources {
        self.output.sources.clone()
    }

    /// Publishes what load asks for. Blocks.
    fn balance(&mut self, factors: AllFactors) {
        for change in observed::replace(&mut self.inputs.factors, factors) {
            self.compiler.apply(change);
        }
        let delta = self.output.compile(&mut self.compiler);
        let (now, none) = (clock::wall(), Followed::default());
        self.output
            .publish(&delta, now, None, &self.compiler, &none);
    }

    /// Publishes what is loaded. Blocks.
    fn turn(&mut self, loaded: &Loaded) {
        let running: Vec<RunningPod> = match &self.pods {
            Some(pods) => pods.run(&workloads(&loaded.files)),
            None => Vec::new(),
        };
        let Admitted {
            mut inputs,
            findings: admission,
            allocations,
            sources,
            skipped,
        } = admit(
            &loaded.files,
            self.allocations.current(),
            &self.admit,
            &running,
        );
        inputs.factors.clone_from(&self.inputs.factors);
        for change in inputs.changes_since(&self.inputs, &mut self.names) {
            self.compiler.apply(change);
        }
        self.inputs = inputs;
        let delta = self.output.compile(&mut self.compiler);
        // An address that is served is one that a restart will find again.
        self.allocations.replace(allocations);
        let compiled = self.output.compiled.iter().cloned();
        let mut findings = all_findings(&loaded.files, admission, compiled, &sources);
        findings.extend(loaded.findings.iter().cloned());
        findings.extend(self.allocations.findings());
        let objects = objects(&loaded.files);
        self.output.metrics.source(&objects, &skipped);
        self.output.publish(
            &delta,
            loaded.changed,
            Some(findings),
            &self.compiler,
            &Followed::default(),
        );
    }
}

/// Of the files, of admission and of the compiler; with where each object was read.
pub(crate) fn all_findings(
    files: &[Arc<ManifestFile>],
    admission: Vec<Finding>,
    compiled: impl Iterator<Item = Finding>,
    sources: &BTreeMap<ObjectRef, SourceLocation>,
) -> Vec<Finding> {
    let located = compiled.map(|finding| Finding {
        source: finding
            .source
            .or_else(|| sources.get(&finding.object).cloned()),
        ..finding
    });
    let parsing = files.iter().flat_map(|file| &file.findings).cloned();
    let mut findings: Vec<_> = parsing.chain(admission).chain(located).collect();
    findings.sort();
    findings.dedup();
    findings
}

fn objects(files: &[Arc<ManifestFile>]) -> BTreeMap<&'static str, u32> {
    let mut counts = BTreeMap::new();
    for located in files.iter().flat_map(|file| &file.objects) {
        *counts.entry(located.object.kind()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::sleep;

    use super::*;
    use crate::{
        findings::FindingBook, metrics::Metrics, publish::Publisher, watch::files::read_once,
    };

    #[tokio::test(start_paused = true)]
    async fn allocations_that_could_not_be_written_are_written_later_without_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let service =
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports: [{port: 80}]\n";
        let manifest = folder.path().join("a.yaml");
        fs::write(&manifest, service).unwrap();
        let state = folder.path().join("state");
        let allocations = AllocationStore::open(Some(&state)).unwrap();
        fs::remove_dir(&state).unwrap();

        let metrics = Arc::new(Metrics::default());
        let (publisher, _views) = Publisher::new(Arc::clone(&metrics));
        let (book, findings) = FindingBook::new(Arc::clone(&metrics));
        let output = Output::new(publisher, book, metrics, Sources::default());
        let admit = AdmitSettings::default();
        let pipeline = FilePipeline::new(Settings::default(), admit, None, allocations, output);
        let loaded = Arc::new(read_once(&manifest).unwrap());
        let (loads, receiver) = watch::channel(None);
        loads.send_replace(Some(loaded));
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(
            pipeline,
            receiver,
            Observed(watch::channel(Arc::default()).1),
            async {},
            stop.clone(),
        ));
        let is_told = || {
            let findings = findings.borrow();
            findings.iter().any(|f| f.reason == "StateNotWritten")
        };
        while !is_told() {
            sleep(Duration::from_millis(10)).await;
        }
        fs::create_dir(&state).unwrap();
        let started = Instant::now();
        while is_told() {
            assert!(started.elapsed() < 3 * SAVE_AGAIN, "it is not tried again");
            sleep(Duration::from_secs(1)).await;
        }
        assert!(state.join("allocations.json").exists());
        stop.cancel();
        running.await.unwrap().unwrap();
    }
}

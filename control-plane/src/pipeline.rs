//! From loaded files to what is published: admit, compile, publish, and say what is wrong.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use meshlite_compile::{Compiled, Delta, Settings, compile};
use meshlite_manifests::{
    ManifestFile,
    admit::{AdmitSettings, Admitted, Allocations, RunningPod, admit, workloads},
};
use meshlite_snapshot::{Finding, ObjectRef, Severity};
use tokio::{task::JoinError, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    PodRuntime,
    findings::FindingBook,
    metrics::Metrics,
    publish::{Pace, Publisher, Stamp, TooLarge},
    watch::files::{AllocationStore, Loaded, Loads},
};

/// How long after allocations could not be written that is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(10);

/// Turns what is loaded into what is published. The one writer of allocations, findings and the log.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) settings: Settings,
    pub(crate) admit: AdmitSettings,
    pub(crate) pods: Option<Arc<dyn PodRuntime>>,
    pub(crate) allocations: AllocationStore,
    pub(crate) publisher: Publisher,
    /// What was published last.
    pub(crate) published: Compiled,
    pub(crate) findings: FindingBook,
    pub(crate) metrics: Arc<Metrics>,
}

/// What a set of files means.
#[derive(Debug)]
pub(crate) struct Meaning {
    pub(crate) compiled: Compiled,
    /// Of the files, of admission and of the compiler.
    pub(crate) findings: Vec<Finding>,
    pub(crate) allocations: Allocations,
    pub(crate) skipped: BTreeMap<String, u32>,
    /// How long the compiler took.
    pub(crate) compile_time: Duration,
}

/// Publishes what is loaded whenever it changes, at the pace that the changes allow, and says once when it was the
/// first time.
pub(crate) async fn run(
    mut pipeline: Pipeline,
    mut loads: Loads,
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

impl Pipeline {
    /// Publishes what is loaded. Blocks.
    fn turn(&mut self, loaded: &Loaded) {
        let running = match &self.pods {
            Some(pods) => pods.run(&workloads(&loaded.files)),
            None => Vec::new(),
        };
        let mut meaning = mean(
            &loaded.files,
            self.allocations.current(),
            &self.admit,
            &running,
            &self.settings,
        );
        // An address that is served is one that a restart will find again.
        self.allocations.replace(meaning.allocations);
        meaning.findings.extend(loaded.findings.iter().cloned());
        meaning.findings.extend(self.allocations.findings());
        self.metrics.compiled(meaning.compile_time);
        self.metrics
            .source(&objects(&loaded.files), &meaning.skipped);
        let stamp = stamp(loaded.changed);
        let compiled = std::mem::take(&mut meaning.compiled);
        let delta = difference(&self.published, &compiled);
        self.published = compiled;
        let published = self.publisher.publish(&delta, stamp, Vec::new());
        meaning
            .findings
            .extend(published.too_large.iter().map(too_large_finding));
        self.findings.replace(meaning.findings);
        self.publisher.announce();
    }
}

/// What these files mean together, with what was allocated before.
pub(crate) fn mean(
    files: &[Arc<ManifestFile>],
    before: &Allocations,
    settings: &AdmitSettings,
    running: &[RunningPod],
    compiler: &Settings,
) -> Meaning {
    let Admitted {
        inputs,
        findings: admission,
        allocations,
        sources,
        skipped,
    } = admit(files, before, settings, running);
    let started = Instant::now();
    let compiled = compile(&inputs, compiler);
    let compile_time = started.elapsed();
    let located = compiled.findings.iter().cloned().map(|finding| Finding {
        source: finding
            .source
            .or_else(|| sources.get(&finding.object).cloned()),
        ..finding
    });
    let parsing = files.iter().flat_map(|file| &file.findings).cloned();
    let mut findings: Vec<_> = parsing.chain(admission).chain(located).collect();
    findings.sort();
    findings.dedup();
    Meaning {
        compiled,
        findings,
        allocations,
        skipped,
        compile_time,
    }
}

/// What makes of one snapshot the other.
fn difference(before: &Compiled, after: &Compiled) -> Delta {
    let mut delta = Delta::default();
    for (name, resource) in before.snapshot.iter() {
        delta
            .resources
            .insert((resource.kind(), name.clone()), None);
    }
    for (name, resource) in after.snapshot.iter() {
        let key = (resource.kind(), name.clone());
        if before.snapshot.get(key.0, name).as_ref() == Some(&resource) {
            delta.resources.remove(&key);
        } else {
            delta.resources.insert(key, Some(resource));
        }
    }
    let (before, after) = (
        &before.ingress_endpoint_groups,
        &after.ingress_endpoint_groups,
    );
    let gone = before.difference(after).map(|name| (name.clone(), false));
    let new = after.difference(before).map(|name| (name.clone(), true));
    delta.ingress_endpoint_groups = gone.chain(new).collect();
    delta
}

fn too_large_finding(too_large: &TooLarge) -> Finding {
    let TooLarge { kind, name, bytes } = too_large;
    Finding {
        severity: Severity::Error,
        object: ObjectRef::new(kind.as_str(), "", name.as_str()),
        field: String::new(),
        reason: "TooLarge".into(),
        message: format!(
            "the resource has {bytes} bytes, more than a data plane reads; what was published of it before stays"
        ),
        source: None,
    }
}

fn stamp(changed: SystemTime) -> Stamp {
    Stamp {
        at: Instant::now(),
        changed,
    }
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

    use tokio::{sync::watch, time::sleep};

    use super::*;
    use crate::watch::files::read_once;

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
        let pipeline = Pipeline {
            settings: Settings::default(),
            admit: AdmitSettings::default(),
            pods: None,
            allocations,
            publisher,
            published: Compiled::default(),
            findings: book,
            metrics,
        };
        let loaded = Arc::new(read_once(&manifest).unwrap());
        let (loads, receiver) = watch::channel(None);
        loads.send_replace(Some(loaded));
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(pipeline, receiver, async {}, stop.clone()));
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

//! What comes of a turn of the compiler, whatever its source: a publication, findings, and facts for what is written back.

use std::{sync::Arc, time::SystemTime};

use meshlite_compile::{Compiler, Delta};
use meshlite_snapshot::{Finding, ObjectRef, Severity};
use tokio::{sync::watch, time::Instant};

use crate::{
    findings::FindingBook,
    metrics::Metrics,
    publish::{Publisher, Stamp, TooLarge},
    watch::{Facts, Followed, Sources},
};

/// The one writer of the log, the findings and the facts.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) publisher: Publisher,
    pub(crate) findings: FindingBook,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) facts: watch::Sender<Arc<Facts>>,
    pub(crate) sources: Sources,
    /// Those of the compiler, as of its last turn.
    pub(crate) compiled: Arc<[Finding]>,
    /// What was wrong at the last publication, and what was too large.
    wrong: Vec<Finding>,
    too_large: Arc<[TooLarge]>,
}

impl Output {
    /// Nothing was published yet.
    pub(crate) fn new(
        publisher: Publisher,
        findings: FindingBook,
        metrics: Arc<Metrics>,
        sources: Sources,
    ) -> Self {
        Self {
            publisher,
            findings,
            metrics,
            facts: watch::Sender::default(),
            sources,
            compiled: Arc::default(),
            wrong: Vec::new(),
            too_large: Arc::default(),
        }
    }

    /// What the compiler makes of what was applied.
    pub(super) fn compile(&mut self, compiler: &mut Compiler) -> Delta {
        let started = Instant::now();
        let mut delta = compiler.compile();
        self.metrics.compiled(started.elapsed());
        if let Some(findings) = delta.findings.take() {
            self.compiled = findings;
        }
        delta
    }

    /// Publishes what changed, and says what is wrong now: `findings` where they differ from those of the last time, and
    /// what is too large.
    pub(super) fn publish(
        &mut self,
        delta: &Delta,
        changed: SystemTime,
        findings: Option<Vec<Finding>>,
        compiler: &Compiler,
        followed: &Followed,
    ) {
        let stamp = Stamp {
            at: Instant::now(),
            changed,
        };
        let sources = self.sources.current();
        let published = self.publisher.publish(delta, stamp, sources);
        self.say(findings, published.too_large);
        self.facts.send_replace(Arc::new(Facts {
            findings: self.findings.current(),
            served_ingresses: Arc::new(compiler.served_ingresses()),
            served_classes: Arc::new(compiler.served_classes()),
            followed: followed.clone(),
            balanced: Arc::new(compiler.balanced()),
        }));
        self.publisher.announce();
    }

    fn say(&mut self, findings: Option<Vec<Finding>>, too_large: Arc<[TooLarge]>) {
        if findings.is_none() && too_large == self.too_large {
            return;
        }
        if let Some(findings) = findings {
            self.wrong = findings;
        }
        self.too_large = too_large;
        let too_large = self.too_large.iter().map(too_large_finding);
        self.findings
            .replace(self.wrong.iter().cloned().chain(too_large).collect());
    }

    /// Shows readers how far the sources were read.
    pub(super) fn read_on(&mut self, changed: SystemTime) {
        let stamp = Stamp {
            at: Instant::now(),
            changed,
        };
        let sources = self.sources.current();
        self.publisher.publish(&Delta::default(), stamp, sources);
        self.publisher.announce();
    }
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

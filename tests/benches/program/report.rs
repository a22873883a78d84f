//! What was measured: figures and what is missing, on their way out of a virtual machine as lines of text.

use std::{io::Write as _, sync::mpsc::Sender, time::Duration};

use meshlite_tests::figures::millis;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{nftables::micros, subject::Outcome, traffic::Felt};

/// What a line of the virtual machine begins with that is an entry.
const MARK: &str = "entry ";

/// What is told of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// A figure, with its name and what it means.
    Figure(String, Value, String),
    /// What was not measured, and why.
    Missing(String),
}

/// Where figures go.
pub(crate) enum Report {
    Here(Sender<Entry>),
    /// In a virtual machine: each is printed at once, so that those are not lost that were had before it was stopped.
    Guest,
}

// === impl Report ===

impl Report {
    /// A figure with what it means.
    pub(crate) fn add(&mut self, key: &str, value: impl Into<Value>, meaning: &str) {
        let value = value.into();
        eprintln!("{key} {value}: {meaning}");
        self.tell(Entry::Figure(key.to_owned(), value, meaning.to_owned()));
    }

    /// Takes a line that a virtual machine printed.
    pub(crate) fn take(&mut self, line: &str) {
        let entry = line.strip_prefix(MARK);
        if let Some(entry) = entry.and_then(|text| serde_json::from_str(text).ok()) {
            self.tell(entry);
        }
    }

    /// Measures something. Where that fails it is said, and its figures are missing; the others go on.
    pub(crate) fn section(
        &mut self,
        name: &str,
        measure: impl FnOnce(&mut Self) -> anyhow::Result<()>,
    ) {
        if let Err(error) = measure(self) {
            let why = format!("{name}: {error:#}");
            eprintln!("NOT MEASURED: {why}");
            self.tell(Entry::Missing(why));
        }
    }

    fn tell(&mut self, entry: Entry) {
        match self {
            // Nobody listens any more once the time is up.
            Self::Here(sender) => drop(sender.send(entry)),
            Self::Guest => {
                let mut out = std::io::stdout().lock();
                let line = json!(entry);
                writeln!(out, "{MARK}{line}")
                    .and_then(|()| out.flush())
                    .ok();
            }
        }
    }
}

/// Everything that was measured of one proxy, under names that begin with this.
pub(crate) fn add_outcome(report: &mut Report, name: &str, outcome: &Outcome) {
    let mut add = |key: &str, value: Value, meaning: &str| {
        report.add(&format!("{name}_{key}"), value, meaning);
    };
    let times = [
        (
            "start_ms",
            outcome.took,
            "process start until the kernel has every Service",
        ),
        (
            "programmed_ms",
            outcome.programmed,
            "the same until the first pass is seen to be over, after all was counted",
        ),
        (
            "start_cpu_ms",
            outcome.cpu,
            "processor time for that, with programs that it runs",
        ),
        (
            "sync_ms",
            outcome.first_sync,
            "of that programming, by its own word",
        ),
        (
            "add_ms",
            outcome.added,
            "a Service added at the source, until the kernel has it",
        ),
        (
            "change_ms",
            outcome.changed,
            "an endpoint changed there, until the kernel has it",
        ),
        (
            "resync_ms",
            outcome.resync,
            "a pass with nothing to do, by its own word",
        ),
    ];
    for (key, time, meaning) in times {
        if !time.is_zero() {
            add(key, millis(time).into(), meaning);
        }
    }
    let own = [
        (
            "add_sync_ms",
            outcome.added_sync,
            "of adding, the proxy's part, by its own word",
        ),
        (
            "change_sync_ms",
            outcome.changed_sync,
            "of changing, the proxy's part, by its own word",
        ),
    ];
    for (key, time, meaning) in own {
        if time > Duration::ZERO {
            add(key, micros(time).into(), meaning);
        }
    }
    add(
        "rss_mb",
        outcome.resident_mb.into(),
        "its resident memory then",
    );
    add("peak_rss_mb", outcome.peak_mb.into(), "the most until then");
    if let Some(felt) = outcome.felt {
        add_felt(report, name, felt);
    }
}

/// What clients felt of one proxy.
pub(crate) fn add_felt(report: &mut Report, name: &str, felt: Felt) {
    let mut add = |key: &str, value: f64, meaning: &str| {
        report.add(&format!("{name}_{key}"), value, meaning);
    };
    let times = [
        (
            "first_packet_us",
            felt.first_packet,
            "a new connection, median",
        ),
        (
            "first_packet_p99_us",
            felt.first_packet_p99,
            "the same, 99 of 100",
        ),
        ("round_trip_us", felt.round_trip, "one byte there and back"),
    ];
    for (key, time, meaning) in times {
        add(key, (time.as_secs_f64() * 1e7).round() / 10.0, meaning);
    }
    let rate = felt.megabytes_per_second.round();
    add("throughput_mb_s", rate, "through one connection, 10⁶ bytes");
}

/// A ratio with two decimals, or three where it is small; null where there is nothing to divide by.
pub(crate) fn ratio(ours: f64, theirs: f64) -> Value {
    let ratio = ours / theirs;
    if !ratio.is_finite() {
        return Value::Null;
    }
    let digits = if ratio < 0.1 { 1000.0 } else { 100.0 };
    ((ratio * digits).round() / digits).into()
}

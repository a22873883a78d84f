//! What every process tells of itself: build, start, CPU time, memory. Read from `/proc/self` at each scrape.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};

/// `/proc` counts CPU time in ticks of 1/100 s on every Linux architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// A registry with the metrics of this process.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.register(
        "meshlite_build",
        "The version of this build",
        Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
    );
    registry.register_collector(Box::new(Process));
    registry
}

#[derive(Debug)]
struct Process;

/// What `/proc` says of a process.
#[derive(Debug, PartialEq)]
struct Figures {
    /// When it started; seconds since 1970.
    start_seconds: f64,
    /// User and system CPU time.
    cpu_seconds: f64,
    /// Resident memory.
    resident_bytes: f64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let (stat, status, system) = (
            read("/proc/self/stat"),
            read("/proc/self/status"),
            read("/proc/stat"),
        );
        let Some(figures) = Figures::parse(&stat, &status, &system) else {
            return Ok(());
        };
        let start = ConstGauge::new(figures.start_seconds);
        start.encode(encoder.encode_descriptor(
            "process_start_time",
            "When this process started, in seconds since 1970",
            Some(&Unit::Seconds),
            start.metric_type(),
        )?)?;
        let cpu = ConstCounter::new(figures.cpu_seconds);
        cpu.encode(encoder.encode_descriptor(
            "process_cpu",
            "User and system CPU time",
            Some(&Unit::Seconds),
            cpu.metric_type(),
        )?)?;
        let resident = ConstGauge::new(figures.resident_bytes);
        resident.encode(encoder.encode_descriptor(
            "process_resident_memory",
            "Resident memory",
            Some(&Unit::Bytes),
            resident.metric_type(),
        )?)
    }
}

impl Figures {
    /// From the text of `/proc/PID/stat`, `/proc/PID/status` and `/proc/stat` (proc(5)).
    fn parse(stat: &str, status: &str, system: &str) -> Option<Self> {
        // The second field is the command in parentheses, which may hold spaces and parentheses itself.
        let (_, after_command) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = after_command.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let line = |text: &str, key: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(key))?;
            found.split_ascii_whitespace().next()?.parse::<f64>().ok()
        };
        let boot = line(system, "btime")?;
        Some(Self {
            start_seconds: boot + field(22)? / TICKS_PER_SECOND,
            cpu_seconds: (field(14)? + field(15)?) / TICKS_PER_SECOND,
            resident_bytes: line(status, "VmRSS:")? * 1024.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_past_a_command_with_spaces_and_parentheses() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 3 0 2500 1 1 1";
        let status = "Name:\ta b) c\nVmHWM:\t  900 kB\nVmRSS:\t  512 kB\n";
        let system = "cpu 1 2 3\nbtime 1700000000\n";
        assert_eq!(
            Figures::parse(stat, status, system),
            Some(Figures {
                start_seconds: 1_700_000_025.0,
                cpu_seconds: 2.0,
                resident_bytes: 524_288.0,
            })
        );
    }

    #[test]
    fn text_that_is_not_from_proc_gives_no_figures() {
        assert_eq!(Figures::parse("", "", ""), None);
        assert_eq!(Figures::parse("7 (a) S 1", "VmRSS: 1 kB", "btime 1"), None);
    }

    #[test]
    fn every_metric_is_documented_with_its_type_and_labels() {
        let registry = registry();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let rows = meshlite_golden::metrics("every process", &registry, &text);
        meshlite_golden::rows("docs/metrics.md", "every process", &rows);
    }
}

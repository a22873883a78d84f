//! What a benchmark prints: a table for people, and one JSON object as its last line.

use std::{fs, io::Write, time::Duration};

use serde_json::{Map, Value};

/// Figures in the order in which they were measured.
#[derive(Debug, Default)]
pub struct Figures {
    rows: Vec<(String, Value, String)>,
    attached: Vec<(String, Value)>,
}

impl Figures {
    /// A figure with what it means.
    pub fn add(&mut self, key: &str, value: impl Into<Value>, meaning: &str) {
        self.rows
            .push((key.to_owned(), value.into(), meaning.to_owned()));
    }

    /// What is too much for the table, and in the JSON only.
    pub fn attach(&mut self, key: &str, value: Value) {
        self.attached.push((key.to_owned(), value));
    }

    /// Whether there is a figure of this name.
    pub fn has(&self, key: &str) -> bool {
        self.rows.iter().any(|(known, ..)| known == key)
    }

    /// Prints the table and then the JSON line. Why a figure is null is in its `reasons`.
    pub fn print(&self, title: &str, mut out: impl Write) -> std::io::Result<()> {
        writeln!(out, "{title}")?;
        for (key, value, meaning) in &self.rows {
            writeln!(out, "  {key:<16} {:>12}  {meaning}", value.to_string())?;
        }
        let rows = self.rows.iter().map(|(k, v, _)| (k.clone(), v.clone()));
        let mut object: Map<String, Value> = rows.chain(self.attached.iter().cloned()).collect();
        let missing = self.rows.iter().filter(|(_, value, _)| value.is_null());
        let reasons: Map<String, Value> = missing
            .map(|(key, _, meaning)| (key.clone(), meaning.as_str().into()))
            .collect();
        if !reasons.is_empty() {
            object.insert("reasons".to_owned(), reasons.into());
        }
        writeln!(out, "{}", Value::Object(object))
    }
}

/// Milliseconds with one decimal.
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

/// The middle one of several runs; zero for none.
pub fn median(mut runs: Vec<Duration>) -> Duration {
    runs.sort_unstable();
    runs.get(runs.len() / 2).copied().unwrap_or_default()
}

/// The largest resident memory of this process so far, in MB.
pub fn peak_rss_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or_default()
        / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_json_with_every_figure() {
        let mut figures = Figures::default();
        figures.add("services", 10, "how many");
        figures.add(
            "parse_ms",
            millis(Duration::from_micros(1_250)),
            "YAML to objects",
        );
        let mut out = Vec::new();
        figures.print("title", &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text.lines().last(),
            Some(r#"{"parse_ms":1.3,"services":10}"#)
        );
        assert!(text.contains("YAML to objects"));
    }

    #[test]
    fn what_is_null_has_its_reason_in_the_json() {
        let mut figures = Figures::default();
        figures.add("parse_ms", Value::Null, "not measured: no file");
        figures.attach("all", 7.into());
        let mut out = Vec::new();
        figures.print("title", &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text.lines().last(),
            Some(r#"{"all":7,"parse_ms":null,"reasons":{"parse_ms":"not measured: no file"}}"#)
        );
    }

    #[test]
    fn the_median_is_the_middle_run() {
        let runs = [5, 1, 9].map(Duration::from_millis).to_vec();
        assert_eq!(median(runs), Duration::from_millis(5));
    }
}

//! Rows of a table of metrics, read from what a scraper would get.

use std::fmt::{Debug, Write as _};

/// A metric as its exposition has it.
#[derive(Debug, Default)]
struct Metric<'a> {
    name: &'a str,
    kind: &'a str,
    help: &'a str,
    labels: Vec<&'a str>,
}

/// A row for each metric: whose it is, its name as it is queried, type, labels and help. A registry leaves out metrics that
/// have no sample yet: it fails where `registry`, which is as it was encoded, has more than `exposition` shows.
pub fn metrics(whose: &str, registry: &impl Debug, exposition: &str) -> Vec<String> {
    let metrics = parse(exposition);
    let registered = format!("{registry:?}").matches("Descriptor {").count();
    let shown: Vec<_> = metrics.iter().map(|metric| metric.name).collect();
    assert!(
        shown.len() >= registered,
        "{registered} metrics of the {whose} are registered, and only these have samples here: {shown:#?}"
    );
    metrics.iter().map(|metric| row(whose, metric)).collect()
}

fn row(whose: &str, metric: &Metric<'_>) -> String {
    let Metric {
        name,
        kind,
        help,
        labels,
    } = metric;
    // Samples of these have a suffix that their descriptions lack.
    let suffix = match *kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    };
    let mut row = format!("| {whose} | `{name}{suffix}` | {kind} | ");
    let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
    // Writing to a String cannot fail.
    let _infallible = write!(row, "{} | {help} |", labels.join(", "));
    row
}

fn parse(exposition: &str) -> Vec<Metric<'_>> {
    let mut metrics: Vec<Metric<'_>> = Vec::new();
    for line in exposition.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            let (name, help) = described.split_once(' ').unwrap_or((described, ""));
            metrics.push(Metric {
                name,
                help: help.trim_end_matches('.'),
                ..Metric::default()
            });
        } else if let (Some(typed), Some(metric)) =
            (line.strip_prefix("# TYPE "), metrics.last_mut())
        {
            metric.kind = typed.rsplit(' ').next().unwrap_or_default();
        } else if let (Some(labels), Some(metric)) = (labels(line), metrics.last_mut()) {
            let names = labels.filter(|name| *name != "le");
            for name in names {
                if !metric.labels.contains(&name) {
                    metric.labels.push(name);
                }
            }
        }
    }
    metrics
}

/// The names in `metric{name="value",…} 1`. Values have no commas in what tests count.
fn labels(line: &str) -> Option<impl Iterator<Item = &str>> {
    let (_, rest) = line.split_once('{')?;
    let (labels, _) = rest.rsplit_once('}')?;
    Some(
        labels
            .split(',')
            .filter_map(|label| Some(label.split_once('=')?.0)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPOSITION: &str = "\
# HELP a_requests Requests.
# TYPE a_requests counter
a_requests_total{listener=\"web\",code=\"2xx\"} 1
# HELP a_duration_seconds How long.
# TYPE a_duration_seconds histogram
# UNIT a_duration_seconds seconds
a_duration_seconds_sum 1.0
a_duration_seconds_bucket{le=\"1.0\"} 1
# EOF
";

    #[test]
    fn a_row_says_what_is_queried_and_by_which_labels() {
        let rows = metrics("node", &"", EXPOSITION);
        let expected = [
            "| node | `a_requests_total` | counter | `listener`, `code` | Requests |",
            "| node | `a_duration_seconds` | histogram |  | How long |",
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    #[should_panic(expected = "3 metrics of the node are registered")]
    fn a_metric_without_a_sample_is_not_left_out_silently() {
        metrics("node", &["Descriptor {"; 3], EXPOSITION);
    }
}

//! `meshlite explain URL`: what a request would meet at an ingress, and why.

use anyhow::Context;
use serde::Deserialize;

use crate::{
    ask,
    config::ExplainConfig,
    output::{self, columns},
};

/// What of an ingress's answer is shown to people.
#[derive(Debug, Deserialize)]
struct Explanation {
    steps: Vec<Step>,
    backends: Vec<Backend>,
}

#[derive(Debug, Deserialize)]
struct Step {
    phase: String,
    says: String,
}

#[derive(Debug, Deserialize)]
struct Backend {
    cluster: String,
    endpoints: Vec<String>,
}

/// Prints the decisions in order, then the endpoints.
pub(crate) async fn run(config: ExplainConfig) -> anyhow::Result<()> {
    let ExplainConfig {
        ingress,
        query,
        format,
    } = config;
    let body = ask::admin(&ingress, &format!("/explain?{query}")).await?;
    let unread =
        || format!("the answer of {ingress} cannot be read; is this build older than the ingress?");
    let answer: serde_json::Value = serde_json::from_slice(&body).with_context(unread)?;
    let explained: Explanation = serde_json::from_slice(&body).with_context(unread)?;
    output::value(format, &answer, || explained.print())
}

/// Everything but unreserved characters as `%XX`.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(byte.into());
        } else {
            escaped.push('%');
            for digit in [byte >> 4, byte & 0xf] {
                let digit = char::from_digit(digit.into(), 16).unwrap_or('0');
                escaped.push(digit.to_ascii_uppercase());
            }
        }
    }
    escaped
}

impl Explanation {
    fn print(&self) -> String {
        let steps = self.steps.iter();
        let steps: Vec<_> = steps
            .map(|step| [step.phase.clone(), step.says.clone()])
            .collect();
        let steps = columns(["PHASE", "WHAT HAPPENS"], &steps);
        let backends = self.backends.iter().flat_map(|backend| {
            let endpoints = backend.endpoints.iter();
            endpoints.map(|endpoint| [backend.cluster.clone(), endpoint.clone()])
        });
        let backends: Vec<_> = backends.collect();
        if backends.is_empty() {
            return steps;
        }
        format!("{steps}\n{}", columns(["CLUSTER", "ENDPOINT"], &backends))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_come_before_endpoints() {
        let answer = r#"{
            "steps": [
                { "phase": "listen", "says": "meshlite/http, port 80" },
                { "phase": "route", "says": "host *, Prefix / of Ingress default/web (rank 0)" }
            ],
            "backends": [
                { "cluster": "default/web/80", "weight": 1, "endpoints": ["10.0.0.1:80"] }
            ]
        }"#;
        let explained: Explanation = serde_json::from_str(answer).unwrap();
        assert_eq!(
            explained.print(),
            "PHASE   WHAT HAPPENS\n\
             listen  meshlite/http, port 80\n\
             route   host *, Prefix / of Ingress default/web (rank 0)\n\n\
             CLUSTER         ENDPOINT\n\
             default/web/80  10.0.0.1:80\n"
        );
    }

    #[test]
    fn what_is_typed_stays_within_its_parameter() {
        assert_eq!(escape("http://h/a?b=c&d"), "http%3A%2F%2Fh%2Fa%3Fb%3Dc%26d");
    }
}

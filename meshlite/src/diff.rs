//! `meshlite diff`: what one data plane lacks or rejected.

use std::fmt::Write;

use anyhow::Context;
use meshlite_proto::v1;
use serde::Serialize;

use crate::{
    clock,
    config::DiffConfig,
    output::{self, Format, columns, columns_for},
    status::client::{Client, topic},
};

/// Everything that `meshlite diff` prints.
#[derive(Debug, Serialize)]
struct View {
    client: Client,
    /// What it was not yet sent, or has not acknowledged.
    pending: Vec<Change>,
    /// How many there are: one answer does not hold any number of them.
    pending_total: u64,
}

#[derive(Debug, Serialize)]
struct Change {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    /// In hexadecimal; none where the resource was removed.
    version: Option<String>,
    generation: u64,
}

/// Prints what one data plane lacks or rejected; gives whether there is no difference.
pub(crate) async fn run(config: DiffConfig) -> anyhow::Result<bool> {
    let DiffConfig {
        reach,
        client,
        format,
    } = config;
    let ask = async {
        let server = reach.first().await?;
        let mut status = server.status();
        server
            .answer(status.diff_client(v1::DiffClientRequest {
                client: client.clone(),
            }))
            .await
    };
    let answer = ask
        .await
        .with_context(|| format!("cannot ask what {client} lacks"))?;
    let known = answer.client.context("the answer names no client")?;
    let view = View {
        client: Client::new(known, clock::wall()),
        pending: answer.pending.into_iter().map(Change::new).collect(),
        pending_total: answer.pending_total,
    };
    output::value(format, &view, || view.print(format))?;
    Ok(view.is_same())
}

// === impl View ===

impl View {
    fn is_same(&self) -> bool {
        self.pending.is_empty() && self.client.rejections.is_empty() && self.client.converged
    }

    fn print(&self, format: Format) -> String {
        let client = &self.client;
        let mut text = format!(
            "{} {}, connected to {}: generation {} installed of {} sent, lag {}, {}\n",
            client.role,
            client.node,
            client.replica,
            client.installed_generation,
            client.sent_generation,
            client.lag(),
            if client.converged {
                "converged"
            } else {
                "not converged"
            },
        );
        if !self.pending.is_empty() {
            let rows: Vec<_> = self.pending.iter().map(Change::row).collect();
            let table = columns(["PENDING", "NAME", "VERSION", "GENERATION"], &rows);
            // Writing to a String cannot fail.
            let _infallible = write!(text, "\n{table}");
            text += &output::cut(rows.len(), self.pending_total);
        }
        if !client.rejections.is_empty() {
            let rejections = client.rejections.iter();
            let rows: Vec<_> = rejections
                .map(|rejection| {
                    let serving = &rejection.serving_version;
                    [
                        rejection.kind.clone(),
                        rejection.name.clone(),
                        rejection.reason.clone(),
                        rejection.message.clone(),
                        rejection.version.clone(),
                        if serving.is_empty() {
                            "<none>"
                        } else {
                            serving
                        }
                        .to_owned(),
                    ]
                })
                .collect();
            let head = ["REJECTED", "NAME", "REASON", "MESSAGE", "VERSION", "SERVED"];
            let table = columns_for(format, 4, head, &rows);
            let _infallible = write!(text, "\n{table}");
        }
        text
    }
}

// === impl Change ===

impl Change {
    fn new(change: v1::ResourceChange) -> Self {
        Self {
            kind: topic(change.topic.as_ref()),
            name: change.name,
            version: (!change.version.is_empty()).then_some(change.version),
            generation: change.generation,
        }
    }

    fn row(&self) -> [String; 4] {
        let version = self.version.clone();
        [
            self.kind.clone(),
            self.name.clone(),
            version.unwrap_or_else(|| "removed".to_owned()),
            self.generation.to_string(),
        ]
    }
}

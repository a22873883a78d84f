//! `meshlite diff`: what the data planes of a node lack or rejected.

use std::fmt::Write;

use anyhow::{Context, bail};
use meshlite_proto::v1;
use serde::Serialize;

use crate::{
    ask::Server,
    clock,
    config::{DiffConfig, Reach},
    output::{self, Format, columns, columns_for},
    status::client::{Client, topic},
};

/// Everything that `meshlite diff` prints: the node and the ingress of one node, or the one that was named by its id.
#[derive(Debug, Serialize)]
struct View {
    clients: Vec<Lack>,
}

/// What one data plane lacks or rejected.
#[derive(Debug, Serialize)]
struct Lack {
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

/// Prints what the data planes of a node lack or rejected; gives whether there is no difference.
pub(crate) async fn run(config: DiffConfig) -> anyhow::Result<bool> {
    let DiffConfig {
        reach,
        client,
        format,
    } = config;
    let view = View::ask(&reach, &client)
        .await
        .with_context(|| format!("cannot ask what {client} lacks"))?;
    output::value(format, &view, || {
        let lacks: Vec<_> = view.clients.iter().map(|lack| lack.print(format)).collect();
        lacks.join("\n")
    })?;
    Ok(view.clients.iter().all(Lack::is_same))
}

// === impl View ===

impl View {
    async fn ask(reach: &Reach, wanted: &str) -> anyhow::Result<Self> {
        let server = reach.first().await?;
        let (known, unreachable) = server.clients().await?;
        let ids = chosen(&known, wanted);
        if ids.is_empty() {
            let silent: Vec<_> = unreachable.into_iter().map(|r| r.address).collect();
            let but = if silent.is_empty() {
                String::new()
            } else {
                format!(" to a replica that answers; {} did not", silent.join(", "))
            };
            bail!(
                "no node or ingress of this name or id is connected{but}; `meshlite status` shows all"
            );
        }
        let mut clients = Vec::new();
        for id in ids {
            clients.push(Lack::ask(&server, id).await?);
        }
        clients.sort_by(|a, b| (&a.client.role, &a.client.id).cmp(&(&b.client.role, &b.client.id)));
        Ok(Self { clients })
    }
}

/// The ids of those that are meant: the one with this id, else all on the node of this name.
fn chosen<'a>(known: &'a [v1::Client], wanted: &str) -> Vec<&'a str> {
    let identities = || known.iter().filter_map(|client| client.identity.as_ref());
    if let Some(one) = identities().find(|identity| identity.id == wanted) {
        return vec![&one.id];
    }
    let of_node = identities().filter(|identity| identity.node_name == wanted);
    of_node.map(|identity| identity.id.as_str()).collect()
}

// === impl Lack ===

impl Lack {
    async fn ask(server: &Server<'_>, id: &str) -> anyhow::Result<Self> {
        let request = v1::DiffClientRequest {
            client: id.to_owned(),
        };
        let mut status = server.status();
        let answer = server.answer(status.diff_client(request)).await?;
        let known = answer.client.context("the answer names no client")?;
        Ok(Self {
            client: Client::new(known, clock::wall()),
            pending: answer.pending.into_iter().map(Change::new).collect(),
            pending_total: answer.pending_total,
        })
    }

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

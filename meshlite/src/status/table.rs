//! Where everybody stands, as tables for people.

use std::{
    fmt::{Display, Write},
    time::Duration,
};

use super::{
    client::{Client, Rejection, brief},
    view::{Replica, Source, View},
};
use crate::output::{Format, columns, columns_for};

const UNKNOWN: &str = "<unknown>";

/// All of it. A source that is current is not worth a line, unless the format is wide.
pub(super) fn print(view: &View, format: Format) -> String {
    let mut text = clients(&view.clients, format);
    if view.totals.rejections > 0 {
        text += "\n";
        text += &rejections(&view.clients);
    }
    text += "\n";
    text += &replicas(&view.replicas, format);
    let stale: Vec<_> = view
        .sources
        .iter()
        .filter(|source| format == Format::Wide || source.stale_seconds >= 1.0)
        .collect();
    if !stale.is_empty() {
        text += "\n";
        text += &sources(&stale);
    }
    if !view.unreachable.is_empty() {
        let rows: Vec<_> = view
            .unreachable
            .iter()
            .map(|replica| [replica.address.clone(), replica.error.clone()])
            .collect();
        text += "\n";
        text += &columns(["UNREACHABLE", "WHY"], &rows);
    }
    let totals = &view.totals;
    // Writing to a String cannot fail.
    let _infallible = write!(
        text,
        "\n{}, {}: {} of {} converged, {}; {} and {} about objects",
        number(totals.nodes, "node"),
        number(totals.ingresses, "ingress"),
        totals.converged,
        view.clients.len(),
        number(totals.rejections, "rejection"),
        number(totals.errors, "error"),
        number(totals.warnings, "warning"),
    );
    text
}

/// `1 node`, `2 nodes`.
fn number<N: Copy + Display + From<u8> + PartialEq>(count: N, what: &str) -> String {
    let ending = match what {
        _ if count == N::from(1) => "",
        _ if what.ends_with('s') => "es",
        _ => "s",
    };
    format!("{count} {what}{ending}")
}

fn clients(clients: &[Client], format: Format) -> String {
    if clients.is_empty() {
        return "no node or ingress is connected\n".to_owned();
    }
    let rows: Vec<_> = clients
        .iter()
        .map(|client| {
            let age = client.connected_for;
            [
                client.node.clone(),
                client.role.clone(),
                or_unknown(&client.replica),
                age.map_or_else(|| UNKNOWN.to_owned(), brief),
                client.installed_generation.to_string(),
                client.lag(),
                if client.converged { "yes" } else { "no" }.to_owned(),
                client.rejections.len().to_string(),
                or_unknown(&client.build),
                client.sent_generation.to_string(),
                client.id.clone(),
                digests(client),
            ]
        })
        .collect();
    let head = [
        "NODE",
        "ROLE",
        "REPLICA",
        "CONNECTED",
        "GENERATION",
        "LAG",
        "CONVERGED",
        "REJECTED",
        "BUILD",
        "SENT",
        "ID",
        "DIGESTS",
    ];
    columns_for(format, 9, head, &rows)
}

/// What each does not serve as it was sent, and what it says of that.
fn rejections(clients: &[Client]) -> String {
    let of_client = |client: &Client| {
        let row = |rejection: &Rejection| {
            [
                client.node.clone(),
                client.role.clone(),
                format!("{} {}", rejection.kind, rejection.name),
                rejection.reason.clone(),
                rejection.message.clone(),
            ]
        };
        client.rejections.iter().map(row).collect::<Vec<_>>()
    };
    let rows: Vec<_> = clients.iter().flat_map(of_client).collect();
    columns(["NODE", "ROLE", "REJECTED", "REASON", "WHY"], &rows)
}

fn digests(client: &Client) -> String {
    let digests = client.digests.iter();
    let digests: Vec<_> = digests
        .map(|digest| format!("{}={}", digest.topic, digest.digest))
        .collect();
    digests.join(",")
}

fn replicas(replicas: &[Replica], format: Format) -> String {
    let rows: Vec<_> = replicas
        .iter()
        .map(|replica| {
            let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| UNKNOWN.to_owned());
            let generation = replica.generation.map(|generation| generation.to_string());
            [
                or_unknown(&replica.name),
                if replica.leader { "leader" } else { "" }.to_owned(),
                replica.clients.to_string(),
                shown(&generation),
                shown(&replica.build),
                shown(&replica.address),
                shown(&replica.epoch),
            ]
        })
        .collect();
    let head = [
        "CONTROL-PLANE",
        "LEADER",
        "CLIENTS",
        "GENERATION",
        "BUILD",
        "ADDRESS",
        "EPOCH",
    ];
    columns_for(format, 6, head, &rows)
}

fn sources(sources: &[&Source]) -> String {
    let rows: Vec<_> = sources
        .iter()
        .map(|source| {
            let stale = Duration::try_from_secs_f64(source.stale_seconds).unwrap_or_default();
            [
                or_unknown(&source.replica),
                source.resource.clone(),
                source.version.clone(),
                brief(stale),
            ]
        })
        .collect();
    columns(["CONTROL-PLANE", "SOURCE", "VERSION", "STALE-FOR"], &rows)
}

fn or_unknown(text: &str) -> String {
    if text.is_empty() { UNKNOWN } else { text }.to_owned()
}

#[cfg(test)]
mod tests;

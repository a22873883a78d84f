//! What a session does with each message, and with time.

mod client;
mod commits;
mod convergence;
mod damage;
mod garbage;
mod guard;
mod newer;
mod rejections;
mod resume;
mod time;

use std::time::{Duration, UNIX_EPOCH};

use bytes::{BufMut as _, Bytes, BytesMut};
use meshlite_snapshot::{Name, ResourceType, Scope, Version};

use self::client::Client;
use super::*;
use crate::{
    model::{Model, NAMESPACES, NODES, mk_name, mk_node, response},
    v1::discovery_response::Kind,
};

fn removed(topic: Topic, name: &str) -> Change {
    Change {
        topic,
        name: mk_name(name),
        removed: true,
    }
}

fn changed(topic: Topic, name: &str) -> Change {
    Change {
        removed: false,
        ..removed(topic, name)
    }
}

fn rejected(client: &Client) -> Vec<(String, RejectReason, Option<Version>)> {
    let rejections = client.session.status().rejections.into_iter();
    rejections
        .map(|rejection| (rejection.name, rejection.reason, rejection.serving))
        .collect()
}

/// A body as a newer build would send it: with a field that this one does not know.
fn newer(resource: &meshlite_snapshot::Resource) -> Bytes {
    let mut body = BytesMut::from(encode::body(resource).as_ref());
    prost::encoding::string::encode(900, &"from the future".to_owned(), &mut body);
    body.freeze()
}

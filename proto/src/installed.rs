//! What a data plane has installed, as its admin server shows it and as the command line reads it back.

use bytes::{Buf, Bytes};
use meshlite_snapshot::{Name, Resource, ResourceType, Snapshot, Topic, Version};
use prost::Message;
use serde::{Deserialize, Serialize};

use crate::{
    decode::{self, DecodeError},
    encode, v1,
};

/// The media type of `encode`: what `meshlite get --node` asks for. Anybody else gets JSON.
pub const MEDIA_TYPE: &str = "application/x-protobuf";

/// Which resources of a type are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Filter {
    /// Only those of this namespace.
    pub namespace: Option<String>,
    /// Only the resource of this name, or those that belong to the object of this name: `web` for
    /// `default/web/web-x7k2p`.
    pub name: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// There is no such type.
    #[error("`{0}` is no type of resource; there are {all}", all = ResourceType::ALL.map(ResourceType::as_str).join(", "))]
    UnknownType(String),
    /// A resource has no form as JSON.
    #[error("the resources cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// All of one type, as JSON.
#[derive(Debug, Serialize)]
struct List<'a> {
    resources: &'a [Item],
}

/// One resource. As JSON it is what people read; private keys are left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ResourceType,
    /// Its name, unique in the type.
    pub name: Name,
    /// The hash of its bytes as they were streamed; none where only the value is known, as on a data plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The resource.
    #[serde(rename = "spec")]
    pub body: Resource,
}

/// Answers `GET /resources/{kind}` with a media type and a body: JSON, unless `accept` asks for [`MEDIA_TYPE`].
pub fn answer(
    snapshot: &Snapshot,
    kind: &str,
    filter: &Filter,
    accept: &str,
) -> Result<(&'static str, Bytes), AnswerError> {
    let kind = resource_type(kind).ok_or_else(|| AnswerError::UnknownType(kind.to_owned()))?;
    let items = select(snapshot, kind, filter);
    if accept == MEDIA_TYPE {
        return Ok((MEDIA_TYPE, encode(&items)));
    }
    let json = serde_json::to_vec(&List { resources: &items })?;
    Ok(("application/json", json.into()))
}

/// The resources of one type that are wanted, sorted by name.
fn select(snapshot: &Snapshot, kind: ResourceType, filter: &Filter) -> Vec<Item> {
    snapshot
        .of_type(kind)
        .filter(|(name, _)| filter.takes(name))
        .map(|(name, body)| Item {
            kind,
            name: name.clone(),
            version: None,
            body,
        })
        .collect()
}

/// The type of this name, in any case: `Service`, `tlssecret`.
fn resource_type(name: &str) -> Option<ResourceType> {
    let has_name = |kind: &ResourceType| kind.as_str().eq_ignore_ascii_case(name);
    ResourceType::ALL.into_iter().find(has_name)
}

/// The items as messages `meshlite.discovery.v1.Resource`, each preceded by its length as a varint.
fn encode(items: &[Item]) -> Bytes {
    let mut bytes = Vec::new();
    for item in items {
        let topic = Topic::all(item.kind);
        let version = item.version.unwrap_or(Version(0));
        let mut message = encode::readable(topic, &item.name, version, &item.body);
        if item.version.is_none() {
            message.version.clear();
        }
        bytes.extend(message.encode_length_delimited_to_vec());
    }
    bytes.into()
}

/// Reads what `encode` wrote. Errors where the bytes are anything else.
pub fn decode(mut bytes: Bytes) -> Result<Vec<Item>, DecodeError> {
    let mut items = Vec::new();
    while bytes.has_remaining() {
        let message = v1::Resource::decode_length_delimited(&mut bytes).map_err(|error| {
            DecodeError::Invalid {
                field: "resource".to_owned(),
                why: error.to_string(),
            }
        })?;
        items.push(item(&message)?);
    }
    Ok(items)
}

/// A readable resource as an item.
pub fn item(message: &v1::Resource) -> Result<Item, DecodeError> {
    let (topic, name, body) = decode::readable(message)?;
    Ok(Item {
        kind: topic.kind,
        name,
        version: u64::from_str_radix(&message.version, 16).ok().map(Version),
        body,
    })
}

// === impl Filter ===

impl Filter {
    /// Whether a resource of this name is wanted.
    pub fn takes(&self, of: &Name) -> bool {
        let mut segments = of.as_str().split('/');
        let first = segments.next();
        let object = segments.next().or(first);
        let namespace = self.namespace.as_deref();
        let name = self.name.as_deref();
        namespace.is_none_or(|wanted| first == Some(wanted))
            && name.is_none_or(|wanted| object == Some(wanted) || of.as_str() == wanted)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use meshlite_snapshot::{Namespace, PrivateKey, TlsSecret};

    use super::*;

    fn mk_snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        let secret = TlsSecret {
            certificate_chain: vec![Bytes::from_static(b"certificate")],
            private_key: PrivateKey(Bytes::from_static(b"hunter2")),
            bindings: vec![],
        };
        for name in ["shop/tls", "shop/other", "web/tls"] {
            let secret = Resource::TlsSecret(Arc::new(secret.clone()));
            snapshot.insert(Name::new(name).unwrap(), secret);
        }
        let namespace = Namespace {
            name: "shop".into(),
        };
        let namespace = Resource::Namespace(Arc::new(namespace));
        snapshot.insert(Name::new("shop").unwrap(), namespace);
        snapshot
    }

    #[test]
    fn resources_are_chosen_by_type_namespace_and_name() {
        let snapshot = mk_snapshot();
        let names = |kind, namespace: Option<&str>, name: Option<&str>| -> Vec<String> {
            let filter = Filter {
                namespace: namespace.map(str::to_owned),
                name: name.map(str::to_owned),
            };
            let items = select(&snapshot, kind, &filter);
            items.iter().map(|item| item.name.to_string()).collect()
        };
        let tls = ResourceType::TlsSecret;
        assert_eq!(names(tls, None, None).len(), 3);
        assert_eq!(names(tls, Some("shop"), None), ["shop/other", "shop/tls"]);
        assert_eq!(names(tls, None, Some("tls")), ["shop/tls", "web/tls"]);
        assert_eq!(names(tls, Some("web"), Some("tls")), ["web/tls"]);
        assert_eq!(names(tls, None, Some("web/tls")), ["web/tls"]);
        assert_eq!(names(ResourceType::Namespace, None, Some("shop")), ["shop"]);
        assert_eq!(resource_type("tlssecret"), Some(tls));
        assert_eq!(resource_type("secret"), None);
    }

    #[test]
    fn what_is_encoded_is_read_back_without_private_keys() {
        let snapshot = mk_snapshot();
        let ask = |accept| answer(&snapshot, "TlsSecret", &Filter::default(), accept).unwrap();
        let (_, bytes) = ask(MEDIA_TYPE);
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
        let read = decode(bytes).unwrap();
        assert_eq!(read.len(), 3);
        assert_eq!(read[0].name.as_str(), "shop/other");
        assert_eq!(read[0].version, None);
        let (media_type, json) = ask("*/*");
        assert_eq!(media_type, "application/json");
        let json = String::from_utf8(json.to_vec()).unwrap();
        let start = r#"{"resources":[{"type":"TlsSecret","name":"shop/other","spec":"#;
        assert!(json.starts_with(start), "{json}");
        assert!(!json.contains("hunter2"), "{json}");
        let unknown = answer(&snapshot, "secrets", &Filter::default(), "*/*");
        let said = unknown.unwrap_err().to_string();
        assert!(
            said.starts_with("`secrets` is no type of resource; there are Namespace, "),
            "{said}"
        );
    }

    #[test]
    fn other_bytes_are_an_error() {
        for bytes in [&b"\xff"[..], b"\x05ab", b"\x02\x08\x63", b"{}"] {
            assert!(decode(Bytes::from_static(bytes)).is_err(), "{bytes:?}");
        }
    }
}

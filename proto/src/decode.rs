//! Messages and bytes to values: parsed at the door, so that inside nothing is optional, unknown or out of range.

mod cluster;
mod credential;
mod endpoints;
mod error;
mod field;
mod filter;
mod node;
mod policy;
mod route;
mod secret;
mod service;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use meshlite_snapshot::{
    Finding, Name, ObjectRef, Resource, ResourceType, Scope, SetDigest, Severity, SourceLocation,
    Topic,
};
use prost::Message;

use crate::v1;

pub use crate::frame::{FrameError, FrameReader, MAX_FRAME_BYTES};
pub use error::DecodeError;

/// Decodes many resources and shares the strings that repeat in them, such as node names.
#[derive(Debug, Default)]
pub struct Decoder {
    strings: Strings,
}

#[derive(Debug, Default)]
struct Strings(BTreeSet<Arc<str>>);

/// The resource of this type that these bytes are.
pub fn body(kind: ResourceType, bytes: &[u8]) -> Result<Resource, DecodeError> {
    Decoder::default().body(kind, bytes)
}

/// The topic that a message names.
pub fn topic(topic: &v1::Topic) -> Result<Topic, DecodeError> {
    topic_of(topic.r#type, &topic.scope)
}

/// The topic of a type and a scope as they are on the wire.
pub fn topic_of(kind: i32, scope: &str) -> Result<Topic, DecodeError> {
    let scope = match scope {
        "" => Scope::All,
        "ingress" => Scope::Ingress,
        other => return Err(DecodeError::unsupported("scope", format_args!("{other:?}"))),
    };
    Ok(Topic {
        kind: resource_type(kind)?,
        scope,
    })
}

/// A resource's name.
pub fn name(name: &str) -> Result<Name, DecodeError> {
    field::name("name", name)
}

/// The digest of a topic's set and the number of its members.
pub fn topic_digest(message: &v1::TopicDigest) -> Result<(Topic, SetDigest, u64), DecodeError> {
    let set = topic(field::required("topic", message.topic.as_ref())?)?;
    Ok((set, set_digest("digest", &message.digest)?, message.count))
}

/// A set's digest.
pub fn set_digest(field: &str, digest: &str) -> Result<SetDigest, DecodeError> {
    SetDigest::from_hex(digest).ok_or_else(|| {
        let digits = SetDigest::DIGITS;
        DecodeError::invalid(
            field,
            format_args!("{digest:.40?} is not {digits} hexadecimal digits"),
        )
    })
}

/// A resource that was sent as a readable message. A private key is empty where it was left out.
pub fn readable(message: &v1::Resource) -> Result<(Topic, Name, Resource), DecodeError> {
    let topic = topic_of(message.r#type, &message.scope)?;
    let name = field::name("name", &message.name)?;
    let body = field::required("body", message.body.clone())?;
    let resource = Decoder::default().message(body)?;
    if resource.kind() != topic.kind {
        let held = resource.kind();
        return Err(DecodeError::invalid(
            "body",
            format_args!("{held} is not {}", topic.kind),
        ));
    }
    Ok((topic, name, resource))
}

/// A finding.
pub fn finding(message: v1::Finding) -> Result<Finding, DecodeError> {
    let severity = match message.severity() {
        v1::finding::Severity::Error => Severity::Error,
        v1::finding::Severity::Warning => Severity::Warning,
        v1::finding::Severity::Unspecified => {
            return Err(DecodeError::unsupported("severity", message.severity));
        }
    };
    Ok(Finding {
        severity,
        object: object(message.object.unwrap_or_default()),
        field: message.field,
        reason: message.reason.into(),
        message: message.message,
        source: message.source.map(|source| SourceLocation {
            file: source.file,
            document: source.document,
            line: source.line,
        }),
    })
}

fn resource_type(kind: i32) -> Result<ResourceType, DecodeError> {
    Ok(match field::known("type", kind)? {
        v1::ResourceType::Service => ResourceType::Service,
        v1::ResourceType::EndpointGroup => ResourceType::EndpointGroup,
        v1::ResourceType::Node => ResourceType::Node,
        v1::ResourceType::Namespace => ResourceType::Namespace,
        v1::ResourceType::Weights => ResourceType::Weights,
        v1::ResourceType::Listener => ResourceType::Listener,
        v1::ResourceType::RouteTable => ResourceType::RouteTable,
        v1::ResourceType::Cluster => ResourceType::Cluster,
        v1::ResourceType::TlsSecret => ResourceType::TlsSecret,
        v1::ResourceType::Credential => ResourceType::Credential,
        v1::ResourceType::Unspecified
        | v1::ResourceType::Announcement
        | v1::ResourceType::Workload => return Err(DecodeError::unsupported("type", kind)),
    })
}

fn object(object: v1::ObjectReference) -> ObjectRef {
    ObjectRef::new(object.kind, object.namespace, object.name)
}

// === impl Decoder ===

impl Decoder {
    /// The resource of this type that these bytes are. Nothing of `bytes` is kept alive.
    pub fn body(&mut self, kind: ResourceType, bytes: &[u8]) -> Result<Resource, DecodeError> {
        use v1::resource::Body;
        fn read<M: Message + Default>(kind: ResourceType, bytes: &[u8]) -> Result<M, DecodeError> {
            M::decode(bytes).map_err(|error| DecodeError::Malformed {
                kind,
                why: error.to_string(),
            })
        }
        self.message(match kind {
            ResourceType::Service => Body::Service(read(kind, bytes)?),
            ResourceType::EndpointGroup => Body::EndpointGroup(read(kind, bytes)?),
            ResourceType::Node => Body::Node(read(kind, bytes)?),
            ResourceType::Namespace => Body::Namespace(read(kind, bytes)?),
            ResourceType::Weights => Body::Weights(read(kind, bytes)?),
            ResourceType::Listener => Body::Listener(read(kind, bytes)?),
            ResourceType::RouteTable => Body::RouteTable(read(kind, bytes)?),
            ResourceType::Cluster => Body::Cluster(read(kind, bytes)?),
            ResourceType::TlsSecret => Body::TlsSecret(read(kind, bytes)?),
            ResourceType::Credential => Body::Credential(read(kind, bytes)?),
        })
    }

    fn message(&mut self, body: v1::resource::Body) -> Result<Resource, DecodeError> {
        use v1::resource::Body;
        Ok(match body {
            Body::Service(body) => Resource::Service(service::service(body)?.into()),
            Body::EndpointGroup(body) => {
                Resource::EndpointGroup(endpoints::group(body, &mut self.strings)?.into())
            }
            Body::Node(body) => Resource::Node(node::node(body)?.into()),
            Body::Namespace(body) => Resource::Namespace(node::namespace(body)?.into()),
            Body::Weights(body) => Resource::Weights(endpoints::weights(body)?.into()),
            Body::Listener(body) => Resource::Listener(route::listener(&body)?.into()),
            Body::RouteTable(body) => Resource::RouteTable(route::table(body)?.into()),
            Body::Cluster(body) => Resource::Cluster(cluster::cluster(body)?.into()),
            Body::TlsSecret(body) => Resource::TlsSecret(secret::secret(body)?.into()),
            Body::Credential(body) => Resource::Credential(credential::credential(body)?.into()),
        })
    }
}

// === impl Strings ===

impl Strings {
    /// One shared copy of a string that repeats; none for an empty one.
    fn shared(&mut self, text: &str) -> Option<Arc<str>> {
        if text.is_empty() {
            return None;
        }
        if let Some(known) = self.0.get(text) {
            return Some(Arc::clone(known));
        }
        let new: Arc<str> = text.into();
        self.0.insert(Arc::clone(&new));
        Some(new)
    }
}

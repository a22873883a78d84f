//! Values to messages and bytes: deterministic, so that equal resources have equal bytes.

mod cluster;
mod credential;
mod endpoints;
mod node;
mod policy;
mod route;
mod secret;
mod service;

use bytes::Bytes;
use meshlite_snapshot::{
    AddressFamily, Finding, Name, ObjectRef, Protocol, Resource, ResourceType, SetDigest, Severity,
    Topic, Version,
};

use crate::v1;

pub use crate::frame::{MAX_CHUNK_BYTES, chunks, frame};

/// The body of a resource as it travels. Its [`Version`] is the hash of exactly these bytes.
pub fn body(resource: &Resource) -> Bytes {
    fn bytes(message: &impl prost::Message) -> Bytes {
        message.encode_to_vec().into()
    }
    match resource {
        Resource::Service(value) => bytes(&service::service(value)),
        Resource::EndpointGroup(value) => bytes(&endpoints::group(value)),
        Resource::Node(value) => bytes(&node::node(value)),
        Resource::Namespace(value) => bytes(&node::namespace(value)),
        Resource::Weights(value) => bytes(&endpoints::weights(value)),
        Resource::Listener(value) => bytes(&route::listener(value)),
        Resource::RouteTable(value) => bytes(&route::table(value)),
        Resource::Cluster(value) => bytes(&cluster::cluster(value)),
        Resource::TlsSecret(value) => bytes(&secret::secret(value)),
        Resource::Credential(value) => bytes(&credential::credential(value)),
    }
}

/// A resource for people to read. Private keys and passwords are left out.
pub fn readable(topic: Topic, name: &Name, version: Version, resource: &Resource) -> v1::Resource {
    let mut readable = readable_with_private_keys(topic, name, version, resource);
    match &mut readable.body {
        Some(v1::resource::Body::TlsSecret(secret)) => secret.private_key = Bytes::new(),
        Some(v1::resource::Body::Credential(held)) => credential::redact(held),
        _ => {}
    }
    readable
}

/// A resource as a readable message, private keys and all: only for an identity that may have them.
pub fn readable_with_private_keys(
    topic: Topic,
    name: &Name,
    version: Version,
    resource: &Resource,
) -> v1::Resource {
    use v1::resource::Body;
    let body = match resource {
        Resource::Service(value) => Body::Service(service::service(value)),
        Resource::EndpointGroup(value) => Body::EndpointGroup(endpoints::group(value)),
        Resource::Node(value) => Body::Node(node::node(value)),
        Resource::Namespace(value) => Body::Namespace(node::namespace(value)),
        Resource::Weights(value) => Body::Weights(endpoints::weights(value)),
        Resource::Listener(value) => Body::Listener(route::listener(value)),
        Resource::RouteTable(value) => Body::RouteTable(route::table(value)),
        Resource::Cluster(value) => Body::Cluster(cluster::cluster(value)),
        Resource::TlsSecret(value) => Body::TlsSecret(secret::secret(value)),
        Resource::Credential(value) => Body::Credential(credential::credential(value)),
    };
    v1::Resource {
        r#type: resource_type(topic.kind).into(),
        scope: topic.scope.as_str().to_owned(),
        name: name.to_string(),
        version: version.to_string(),
        body: Some(body),
    }
}

/// A topic.
pub fn topic(topic: Topic) -> v1::Topic {
    v1::Topic {
        r#type: resource_type(topic.kind).into(),
        scope: topic.scope.as_str().to_owned(),
    }
}

/// The digest of a topic's set.
pub fn topic_digest(set: Topic, digest: SetDigest, count: u64) -> v1::TopicDigest {
    v1::TopicDigest {
        topic: Some(topic(set)),
        digest: digest.to_string(),
        count,
    }
}

/// A finding.
pub fn finding(finding: &Finding) -> v1::Finding {
    let severity = match finding.severity {
        Severity::Error => v1::finding::Severity::Error,
        Severity::Warning => v1::finding::Severity::Warning,
    };
    v1::Finding {
        severity: severity.into(),
        object: Some(object(&finding.object)),
        field: finding.field.clone(),
        reason: finding.reason.clone().into_owned(),
        message: finding.message.clone(),
        source: finding.source.as_ref().map(|source| v1::SourceLocation {
            file: source.file.clone(),
            document: source.document,
            line: source.line,
        }),
    }
}

/// A resource type.
pub fn resource_type(kind: ResourceType) -> v1::ResourceType {
    match kind {
        ResourceType::Service => v1::ResourceType::Service,
        ResourceType::EndpointGroup => v1::ResourceType::EndpointGroup,
        ResourceType::Node => v1::ResourceType::Node,
        ResourceType::Namespace => v1::ResourceType::Namespace,
        ResourceType::Weights => v1::ResourceType::Weights,
        ResourceType::Listener => v1::ResourceType::Listener,
        ResourceType::RouteTable => v1::ResourceType::RouteTable,
        ResourceType::Cluster => v1::ResourceType::Cluster,
        ResourceType::TlsSecret => v1::ResourceType::TlsSecret,
        ResourceType::Credential => v1::ResourceType::Credential,
    }
}

fn object(object: &ObjectRef) -> v1::ObjectReference {
    v1::ObjectReference {
        kind: object.kind.clone().into_owned(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
    }
}

fn protocol(protocol: Protocol) -> i32 {
    match protocol {
        Protocol::Tcp => v1::Protocol::Tcp,
        Protocol::Udp => v1::Protocol::Udp,
        Protocol::Sctp => v1::Protocol::Sctp,
    }
    .into()
}

fn family(family: AddressFamily) -> i32 {
    match family {
        AddressFamily::Ipv4 => v1::AddressFamily::Ipv4,
        AddressFamily::Ipv6 => v1::AddressFamily::Ipv6,
    }
    .into()
}

/// 0 stands for none.
fn port(port: Option<u16>) -> u32 {
    port.map_or(0, u32::from)
}

/// Empty stands for none.
fn text(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

fn shown<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

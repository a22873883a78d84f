//! What is encoded is decoded again; what is not allowed is refused with its field.

use std::sync::Arc;

use bytes::BytesMut;
use meshlite_snapshot::{Credential, Htpasswd, PrivateKey, TlsSecret, Version};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{arbitrary, encode, session::RejectReason};

proptest! {
    #[test]
    fn what_was_encoded_decodes_to_the_same(resource in arbitrary::resource()) {
        let bytes = encode::body(&resource);
        prop_assert_eq!(body(resource.kind(), &bytes), Ok(resource));
    }

    #[test]
    fn equal_resources_have_equal_bytes(resource in arbitrary::resource()) {
        let bytes = encode::body(&resource);
        let again = body(resource.kind(), &bytes).unwrap();
        prop_assert_eq!(encode::body(&again), bytes);
    }

    #[test]
    fn a_readable_resource_says_the_same_without_its_key(
        name in arbitrary::name(),
        resource in arbitrary::resource(),
    ) {
        let topic = Topic::all(resource.kind());
        let message = encode::readable(topic, &name, Version(1), &resource);
        let shown = readable(&message).unwrap();
        let expected = match resource {
            Resource::TlsSecret(secret) => {
                let mut secret = TlsSecret::clone(&secret);
                secret.private_key = PrivateKey(bytes::Bytes::new());
                Resource::TlsSecret(secret.into())
            }
            Resource::Credential(held) => {
                let mut held = Credential::clone(&held);
                held.htpasswd = held.htpasswd.map(|_| Htpasswd(bytes::Bytes::new()));
                if let Some(identity) = &mut held.identity {
                    identity.private_key = PrivateKey(bytes::Bytes::new());
                }
                Resource::Credential(held.into())
            }
            other => other,
        };
        prop_assert_eq!(shown, (topic, name, expected));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(
        kind in proptest::sample::select(ResourceType::ALL.to_vec()),
        bytes in vec(any::<u8>(), 0..200),
    ) {
        if let Ok(resource) = body(kind, &bytes) {
            prop_assert_eq!(resource.kind(), kind);
        }
    }

    #[test]
    fn damaged_bodies_are_decoded_or_refused(
        resource in arbitrary::resource(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = encode::body(&resource).to_vec();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(read) = body(resource.kind(), &bytes) {
            prop_assert_eq!(read.kind(), resource.kind());
        }
    }

    #[test]
    fn frames_are_the_same_however_the_stream_is_cut(
        resources in vec((arbitrary::name(), arbitrary::resource(), any::<bool>()), 0..8),
        cuts in vec(1..300_usize, 1..20),
    ) {
        let mut stream = BytesMut::new();
        let mut sent = Vec::new();
        for (name, resource, removed) in &resources {
            let bytes = encode::body(resource);
            let body = (!removed).then_some(&bytes);
            encode::frame(Topic::all(resource.kind()), name, Version::of(&bytes), body, &mut stream);
            sent.push((name.to_string(), if *removed { bytes::Bytes::new() } else { bytes }));
        }
        let mut stream = stream.freeze();
        let mut reader = FrameReader::default();
        let mut read = Vec::new();
        for cut in cuts.iter().cycle() {
            if stream.is_empty() {
                break;
            }
            reader.push(&stream.split_to((*cut).min(stream.len())));
            while let Some(frame) = reader.next_frame().unwrap() {
                read.push((frame.name, frame.body));
            }
        }
        prop_assert!(reader.is_empty());
        prop_assert_eq!(read, sent);
    }

    #[test]
    fn a_frame_reader_survives_any_bytes(chunks in vec(vec(any::<u8>(), 0..50), 0..10)) {
        let mut reader = FrameReader::default();
        for chunk in chunks {
            reader.push(&chunk);
            while let Ok(Some(_)) = reader.next_frame() {}
        }
    }
}

#[test]
fn a_frame_that_is_too_long_is_refused_before_it_has_arrived() {
    let mut reader = FrameReader::default();
    reader.push(&[0x81, 0x80, 0x80, 0x08]);
    assert_eq!(
        reader.next_frame(),
        Err(FrameError::TooLong(MAX_FRAME_BYTES as u64 + 1))
    );
    let mut reader = FrameReader::default();
    reader.push(&[0xff; 10]);
    assert_eq!(reader.next_frame(), Err(FrameError::Length));
}

#[test]
fn chunks_are_cut_to_size_without_losing_a_byte() {
    let stream = bytes::Bytes::from((0..=255).collect::<Vec<u8>>());
    let chunks: Vec<_> = encode::chunks(stream.clone(), 100).collect();
    assert_eq!(
        chunks.iter().map(bytes::Bytes::len).collect::<Vec<_>>(),
        [100, 100, 56]
    );
    assert_eq!(chunks.concat(), stream);
    assert_eq!(encode::chunks(bytes::Bytes::new(), 100).count(), 0);
}

fn mk_service() -> v1::Service {
    v1::Service {
        namespace: "default".into(),
        name: "web".into(),
        r#type: v1::service::Type::ClusterIp.into(),
        ip_family_policy: v1::service::IpFamilyPolicy::SingleStack.into(),
        internal_traffic_policy: v1::TrafficPolicy::Cluster.into(),
        external_traffic_policy: v1::TrafficPolicy::Cluster.into(),
        ports: vec![v1::ServicePort {
            protocol: v1::Protocol::Tcp.into(),
            port: 80,
            target_port: Some(v1::service_port::TargetPort::TargetPortNumber(8080)),
            ..v1::ServicePort::default()
        }],
        ..v1::Service::default()
    }
}

#[test]
fn what_is_not_allowed_is_refused_with_its_field_and_reason() {
    type Change = fn(&mut v1::Service);
    let cases: &[(Change, &str)] = &[
        (
            |s| s.namespace.clear(),
            "namespace: resource name \"\" is not [cluster/]namespace/name[/part]",
        ),
        (|s| s.name = "a/b".into(), "name: \"a/b\" contains a slash"),
        (
            |s| s.cluster_ips = vec!["10.0.0.256".into()],
            "cluster_ips[0]: \"10.0.0.256\" is not an IP address",
        ),
        (
            |s| s.cluster_ips = vec!["10.0.0.1".into(), "10.0.0.2".into()],
            "cluster_ips: more than one of a family",
        ),
        (
            |s| s.ports[0].port = 0,
            "ports[0].port: 0 is not in 1 to 65535",
        ),
        (
            |s| s.ports[0].port = 65_536,
            "ports[0].port: 65536 is not in 1 to 65535",
        ),
        (
            |s| s.ports[0].node_port = 70_000,
            "ports[0].node_port: 70000 is not in 1 to 65535",
        ),
        (
            |s| s.ports[0].target_port = None,
            "ports[0].target_port: missing",
        ),
        (
            |s| s.ports[0].protocol = 0,
            "ports[0].protocol: unspecified",
        ),
        (
            |s| s.ports[0].protocol = 9,
            "ports[0].protocol: 9 is not known here",
        ),
        (|s| s.r#type = 0, "type: unspecified"),
        (|s| s.r#type = 77, "type: 77 is not known here"),
        (
            |s| s.session_affinity_seconds = 86_401,
            "session_affinity_seconds: 86401 is not in 1 to 86400",
        ),
        (
            |s| s.load_balancer_source_ranges = vec!["10.0.0.0/33".into()],
            "load_balancer_source_ranges[0]: \"10.0.0.0/33\" is not a network in CIDR notation",
        ),
    ];
    let decode = |message: &v1::Service| body(ResourceType::Service, &message.encode_to_vec());
    assert!(decode(&mk_service()).is_ok());
    for (change, expected) in cases {
        let mut message = mk_service();
        change(&mut message);
        assert_eq!(decode(&message).unwrap_err().to_string(), *expected);
    }
}

#[test]
fn an_error_says_whether_it_is_garbage_wrong_or_too_new() {
    let mut newer = mk_service();
    newer.r#type = 77;
    let reason = |bytes: &[u8]| body(ResourceType::Service, bytes).unwrap_err().reason();
    assert_eq!(reason(b"\xff\xff"), RejectReason::Malformed);
    assert_eq!(reason(b""), RejectReason::Invalid);
    assert_eq!(reason(&newer.encode_to_vec()), RejectReason::Unsupported);
}

#[test]
fn an_endpoint_is_of_its_groups_family() {
    let group = v1::EndpointGroup {
        namespace: "default".into(),
        service: "web".into(),
        slice: "web-1".into(),
        address_family: v1::AddressFamily::Ipv4.into(),
        endpoints: vec![v1::Endpoint {
            address: "fd00::1".into(),
            ..v1::Endpoint::default()
        }],
        ..v1::EndpointGroup::default()
    };
    assert_eq!(
        body(ResourceType::EndpointGroup, &group.encode_to_vec())
            .unwrap_err()
            .to_string(),
        "endpoints[0].address: fd00::1 is not of the group's family"
    );
}

#[test]
fn node_names_are_shared_within_a_decoder() {
    let group = v1::EndpointGroup {
        namespace: "default".into(),
        service: "web".into(),
        slice: "web-1".into(),
        address_family: v1::AddressFamily::Ipv4.into(),
        endpoints: ["10.0.0.1", "10.0.0.2"]
            .map(|address| v1::Endpoint {
                address: address.into(),
                node: "node-1".into(),
                ..v1::Endpoint::default()
            })
            .to_vec(),
        ..v1::EndpointGroup::default()
    };
    let Ok(Resource::EndpointGroup(group)) =
        body(ResourceType::EndpointGroup, &group.encode_to_vec())
    else {
        panic!("not a group");
    };
    let [a, b] = group.endpoints.as_slice() else {
        panic!("not two endpoints");
    };
    assert!(Arc::ptr_eq(
        a.node.as_ref().unwrap(),
        b.node.as_ref().unwrap()
    ));
}

#[test]
fn digests_topics_and_findings_survive_the_wire() {
    let name = Name::new("default/web").unwrap();
    let mut digest = SetDigest::default();
    digest.add(&name, Version(7));
    for topic in [Topic::all(ResourceType::Service), Topic::INGRESS[0]] {
        let message = encode::topic_digest(topic, digest, 1);
        assert_eq!(topic_digest(&message), Ok((topic, digest, 1)));
    }
    let unknown = v1::Topic {
        r#type: 1,
        scope: "moon".into(),
    };
    assert_eq!(
        topic(&unknown).unwrap_err().to_string(),
        "scope: \"moon\" is not known here"
    );
    let wrong = Finding {
        severity: Severity::Warning,
        object: ObjectRef::new("Service", "default", "web"),
        field: "spec.type".into(),
        reason: "Odd".into(),
        message: "It is odd.".into(),
        source: Some(SourceLocation {
            file: "a.yaml".into(),
            document: 2,
            line: 14,
        }),
    };
    assert_eq!(finding(encode::finding(&wrong)), Ok(wrong));
}

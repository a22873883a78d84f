//! What is written comes back, and nothing else does.

use std::os::unix::fs::PermissionsExt as _;

use bytes::Bytes;
use meshlite_snapshot::{ResourceType, Topic, Version};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;
use crate::{arbitrary, encode, v1};

fn kept() -> impl Strategy<Value = Kept> {
    let resource = (arbitrary::name(), arbitrary::resource()).prop_map(|(name, resource)| {
        let body = encode::body(&resource);
        (Topic::all(resource.kind()), name, Version::of(&body), body)
    });
    ("[a-z]{0,9}", any::<u64>(), vec(resource, 0..12)).prop_map(|(epoch, generation, resources)| {
        let watermark = v1::Watermark {
            resource: "services".into(),
            resource_version: generation.to_string(),
            origin: epoch.clone(),
            staleness: None,
        };
        Kept {
            epoch,
            generation,
            topics: Topic::INGRESS.to_vec(),
            sources: vec![watermark],
            resources,
        }
    })
}

fn mk_kept(kind: ResourceType, body: &'static [u8]) -> Kept {
    let name = meshlite_snapshot::Name::new("a").expect("a name");
    Kept {
        resources: vec![(
            Topic::all(kind),
            name,
            Version::of(body),
            Bytes::from_static(body),
        )],
        ..Kept::default()
    }
}

proptest! {
    #[test]
    fn what_is_packed_is_unpacked(kept in kept()) {
        prop_assert_eq!(unpack(&pack(&kept).unwrap()), Ok(kept));
    }

    #[test]
    fn any_damage_is_noticed(kept in kept(), at in any::<Index>(), flip in 1..=u8::MAX, cut in any::<Index>()) {
        let file = pack(&kept).unwrap();
        let mut damaged = file.clone();
        damaged[at.index(file.len())] ^= flip;
        prop_assert!(unpack(&damaged).is_err());
        prop_assert!(unpack(&file[..cut.index(file.len())]).is_err());
    }

    #[test]
    fn any_bytes_with_a_right_checksum_are_unpacked_or_refused(content in vec(any::<u8>(), 0..200), length in 0..300_u64) {
        let mut file = b"MESHLITE\0\0\0\x01".to_vec();
        file.extend_from_slice(&length.to_be_bytes());
        file.append(&mut zstd::encode_all(content.as_slice(), 3).unwrap());
        let checksum = twox_hash::XxHash3_128::oneshot(&file);
        file.extend_from_slice(&checksum.to_be_bytes());
        drop(unpack(&file));
    }
}

#[test]
fn a_file_of_another_format_is_not_read() {
    let mut file = pack(&Kept::default()).unwrap();
    file[11] = 2;
    assert_eq!(unpack(&file), Err(Unreadable::Format(2)));
    assert_eq!(unpack(b"#!/bin/sh"), Err(Unreadable::NotOurs));
}

#[test]
fn a_private_key_is_never_printed() {
    let kept = mk_kept(ResourceType::TlsSecret, b"hunter2");
    assert!(!format!("{kept:?}").contains("hunter2"));
    assert!(!format!("{kept:?}").contains("104"));
}

#[test]
fn a_file_is_replaced_whole_and_is_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.snapshot");
    for content in [b"one", b"two"] {
        disk::write(&path, content).unwrap();
        assert_eq!(disk::read(&path).unwrap().unwrap(), content);
    }
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let names = std::fs::read_dir(folder.path()).unwrap();
    assert_eq!(names.count(), 1, "nothing else is left behind");
    assert!(disk::read(folder.path()).is_err(), "a folder is no file");
    let missing = folder.path().join("missing");
    assert_eq!(disk::read(&missing).unwrap(), None);
}

#[test]
fn private_keys_are_refused_a_folder_that_is_not_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut cache = Cache {
        folder: folder.path().join("made/when/missing"),
        secrets: Some("/proc/self".into()),
    };
    let refused = cache.check().unwrap_err().to_string();
    assert!(refused.starts_with("/proc/self is not memory"), "{refused}");
    cache.secrets = Some("/dev/shm".into());
    cache.check().unwrap();
    assert!(cache.folder.is_dir());
    cache.folder = "/proc/none".into();
    assert!(matches!(cache.check(), Err(CacheError::Folder { .. })));
}

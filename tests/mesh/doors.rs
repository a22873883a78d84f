//! The doors for bytes from outside with a few bytes of each kind; `make fuzz` looks further.

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is a crate for the fuzz targets")]
mod fuzz;

use std::{collections::BTreeSet, fs, path::Path};

use meshlite_nft::{
    Base, Chain, ChainKind, Expression, Family, Hook, NatFlags, Policy, Register, Rule, Set, Table,
    TableKey, Transaction, Type, UserData,
};
use meshlite_proto::{
    cache::{Kept, pack},
    v1,
};
use meshlite_tests::dice::Dice;
use prost::Message as _;

use self::fuzz::Unproved;

/// Up to 200 bytes, some of them such that messages of the protocol are made of them.
fn noise(dice: &mut Dice) -> Vec<u8> {
    let (length, limit) = (dice.below(200), [32, 256][usize::from(dice.below(2))]);
    let byte = |_| dice.below(limit).to_le_bytes()[0];
    (0..length).map(byte).collect()
}

/// Something that is right, cut off and with bytes that are not.
fn damaged(dice: &mut Dice, mut right: Vec<u8>) -> Vec<u8> {
    for _ in 0..dice.below(4) {
        if let Ok(length @ 1..) = u16::try_from(right.len()) {
            right[usize::from(dice.below(length))] = dice.below(256).to_le_bytes()[0];
        }
    }
    if dice.below(2) == 0 {
        right.truncate(usize::from(dice.below(300)));
    }
    right.extend(noise(dice));
    right
}

#[test]
fn whatever_comes_through_a_door_does_no_harm() {
    let mut dice = Dice::new(11);
    let kept = pack(&Kept::default()).unwrap();
    let hello = v1::discovery_request::Kind::Hello(v1::Hello::default());
    let hello = v1::DiscoveryRequest { kind: Some(hello) }.encode_length_delimited_to_vec();
    let manifest =
        b"apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n";
    let (begin, end) = (v1::CommitBegin::default(), v1::CommitEnd::default());
    let begin = v1::CommitBegin {
        nonce: 1,
        mode: v1::CommitMode::Full.into(),
        ..begin
    };
    let end = v1::CommitEnd { nonce: 1, ..end };
    let commit: Vec<u8> = [
        v1::discovery_response::Kind::Begin(begin),
        v1::discovery_response::Kind::End(end),
    ]
    .map(|kind| v1::DiscoveryResponse { kind: Some(kind) }.encode_length_delimited_to_vec())
    .concat();
    let rules = ruleset();
    let head = b"POST\nhttp://a/x/../y?z\nHost: a\nContent-Length: 01\nConnection: x, y\nx: 1";
    let answer =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nx: y\r\n\r\n";
    let requests = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\n\r\n\
        PUT /b HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nbcGET /d HTTP/1.1\r\nHost: a\r\n\r\n";
    let path = b"a/./%2e%2e/b%2fc/..%5c;x";
    let routes = b"a.b.c\n/x/./y\nE a.b.c /\nP *.b.c /x\np **.c /x/y\ne * /x/y\nP * /";
    for _ in 0..500 {
        fuzz::cache(&damaged(&mut dice, kept.clone()));
        fuzz::request(&damaged(&mut dice, hello.clone()));
        fuzz::manifests(&damaged(&mut dice, manifest.to_vec()));
        fuzz::responses(&damaged(&mut dice, commit.clone()));
        fuzz::head(&damaged(&mut dice, head.to_vec()));
        let cut = dice.below(256).to_le_bytes()[0];
        fuzz::response(cut, &damaged(&mut dice, answer.to_vec()));
        fuzz::pipeline(cut, &damaged(&mut dice, requests.to_vec()));
        let path = damaged(&mut dice, path.to_vec());
        fuzz::path(&String::from_utf8_lossy(&path));
        let routes = damaged(&mut dice, routes.to_vec());
        fuzz::router(&String::from_utf8_lossy(&routes));
        fuzz::ipvs(&noise(&mut dice));
        fuzz::nft(&damaged(&mut dice, rules.clone()));
        fuzz::commit(dice.below(256).to_le_bytes()[0], &noise(&mut dice));
        fuzz::session(Unproved {
            zstd: dice.below(2) == 0,
            raw_bytes: dice.below(1000),
            frame_count: dice.below(10),
            cut: dice.below(256).to_le_bytes()[0],
            bytes: &noise(&mut dice),
        });
    }
}

/// A message about one of each kind of object of nftables.
fn ruleset() -> Vec<u8> {
    let name = |text: &str| text.parse().unwrap();
    let key = TableKey {
        family: Family::Inet,
        name: name("t"),
    };
    let user_data = UserData::comment("ours");
    let mut transaction = Transaction::new();
    transaction.add_table(&Table {
        key: key.clone(),
        dormant: false,
        user_data: user_data.clone(),
    });
    transaction.add_chain(&Chain {
        key: key.chain(name("c")),
        base: Some(Base {
            kind: ChainKind::Nat,
            hook: Hook::POSTROUTING,
            priority: 100,
            policy: Policy::Accept,
        }),
        user_data: user_data.clone(),
    });
    let is_v4 = Expression::is_family(Family::Ipv4, Register::word(0));
    let flags = NatFlags::FULLY_RANDOM;
    transaction.add_rule(&Rule {
        chain: key.chain(name("c")),
        expressions: is_v4
            .into_iter()
            .chain([Expression::Masquerade { flags }])
            .collect(),
        user_data,
    });
    transaction.add_set(&Set::new(key.set(name("s")), Type::IPV4));
    transaction.bytes().unwrap().unwrap().to_vec()
}

#[test]
fn every_door_has_a_fuzz_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    let doors = read("src/lib.rs");
    let doors = doors
        .lines()
        .filter_map(|line| line.strip_prefix("pub fn "));
    let doors: BTreeSet<_> = doors.filter_map(|line| line.split('(').next()).collect();
    let manifest = read("Cargo.toml");
    let bins = manifest.split("[[bin]]").skip(1);
    let bins = bins.filter_map(|bin| bin.split('"').nth(1));
    assert_eq!(bins.collect::<BTreeSet<_>>(), doors);
    for door in doors {
        let target = read(&format!("fuzz_targets/{door}.rs"));
        let call = format!("meshlite_fuzz::{door}(");
        assert!(target.contains(&call), "{target}");
    }
}

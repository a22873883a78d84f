//! Questions with one answer, and lists.

use super::*;
use crate::{
    Change, Error, Family, Protocol, Query, Scheduler, Service, ServiceEntry, ServiceKey,
    ServiceSettings,
    codec::{Answer, Header, Malformed},
};

const MULTI: u16 = 2;
const INTERRUPTED: u16 = 0x10;

fn service(port: u16) -> Service {
    Service {
        key: ServiceKey::address(Protocol::UDP, ([10, 96, 0, 1], port).into()),
        settings: ServiceSettings::new(Scheduler::WRR),
    }
}

/// The payload by which the kernel tells of a service: as it is told of one.
fn payload(port: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = Header {
        family: FAMILY,
        sequence: 0,
        acknowledge: false,
    };
    Change::AddService(service(port)).encode(header, &mut bytes);
    bytes.split_off(16)
}

fn part(sequence: u32, ports: impl IntoIterator<Item = u16>) -> Vec<u8> {
    let one = |port| message(FAMILY, MULTI, sequence, &payload(port));
    ports.into_iter().flat_map(one).collect()
}

fn done(sequence: u32, flags: u16, error: i32) -> Vec<u8> {
    message(3, MULTI | flags, sequence, &(-error).to_ne_bytes())
}

fn list<R: FnMut(&Request) -> Vec<Arrival>>(
    exchange: &mut Exchange<FakeKernel<R>>,
) -> Result<Vec<u16>, Error> {
    let port = |entry: ServiceEntry| match entry.service.key {
        ServiceKey::Address { port, .. } => port,
        key @ ServiceKey::Mark { .. } => panic!("{key}"),
    };
    exchange.list(Query::Services, |answer| match answer {
        Answer::Service(entry) => Some(port(entry)),
        _ => None,
    })
}

fn datagrams(datagrams: impl IntoIterator<Item = Vec<u8>>) -> Vec<Arrival> {
    datagrams.into_iter().map(Arrival::Datagram).collect()
}

#[test]
fn a_list_of_many_datagrams_is_one_list() {
    let mut exchange = FakeKernel::new(|request: &Request| {
        let parts = (0..50).map(|i| part(request.sequence, i * 20..i * 20 + 20));
        datagrams(parts.chain([done(request.sequence, 0, 0)]))
    })
    .exchange();
    assert_eq!(list(&mut exchange).unwrap(), (0..1000).collect::<Vec<_>>());
    assert_eq!(exchange.netlink.transport().requests.len(), 1);
}

#[test]
fn the_end_may_share_a_datagram_with_the_last_of_the_list() {
    let mut exchange = FakeKernel::new(|request: &Request| {
        let mut last = part(request.sequence, [1, 2]);
        last.extend(done(request.sequence, 0, 0));
        datagrams([last])
    })
    .exchange();
    assert_eq!(list(&mut exchange).unwrap(), [1, 2]);
}

#[test]
fn a_list_that_changed_while_it_was_read_is_read_again() {
    let mut exchange = FakeKernel::new(|request: &Request| match request.index {
        0 => datagrams([
            message(FAMILY, MULTI | INTERRUPTED, request.sequence, &payload(1)),
            done(request.sequence, 0, 0),
        ]),
        1 => datagrams([
            part(request.sequence, [1]),
            done(request.sequence, INTERRUPTED, 0),
        ]),
        _ => datagrams([part(request.sequence, [1, 2]), done(request.sequence, 0, 0)]),
    })
    .exchange();
    assert_eq!(list(&mut exchange).unwrap(), [1, 2]);
    assert_eq!(exchange.netlink.transport().requests.len(), 3);
}

#[test]
fn a_list_that_changes_all_the_while_is_given_up() {
    let mut exchange = FakeKernel::new(|request: &Request| {
        datagrams([
            part(request.sequence, [1]),
            done(request.sequence, INTERRUPTED, 0),
        ])
    })
    .exchange();
    assert!(matches!(list(&mut exchange), Err(Error::Interrupted(10))));
    assert_eq!(exchange.netlink.transport().requests.len(), 10);
}

#[test]
fn a_list_of_which_a_part_was_lost_is_read_again() {
    let mut exchange = FakeKernel::new(|request: &Request| {
        let mut arrivals =
            datagrams([part(request.sequence, [1, 2]), done(request.sequence, 0, 0)]);
        if request.index == 0 {
            arrivals.insert(1, Arrival::Fails(libc::ENOBUFS));
        }
        arrivals
    })
    .exchange();
    assert_eq!(list(&mut exchange).unwrap(), [1, 2]);
    assert_eq!(exchange.netlink.transport().requests.len(), 2);
}

#[test]
fn a_list_without_an_end_is_no_list() {
    let mut exchange =
        FakeKernel::new(|request: &Request| datagrams([part(request.sequence, [1])])).exchange();
    assert!(matches!(list(&mut exchange), Err(Error::Lost)));
}

#[test]
fn a_refused_list_says_why() {
    let mut exchange = FakeKernel::new(|request: &Request| match request.index {
        0 => vec![acknowledged(request.sequence, libc::EPERM)],
        _ => datagrams([done(request.sequence, 0, libc::ENOMEM)]),
    })
    .exchange();
    assert!(matches!(list(&mut exchange), Err(Error::NoPermission(_))));
    assert!(matches!(list(&mut exchange), Err(Error::Busy(_))));
}

#[test]
fn a_list_with_nonsense_in_it_is_received_to_its_end_before_it_is_an_error() {
    let mut exchange = FakeKernel::new(|request: &Request| {
        let middle = match request.index {
            0 => vec![1, 2, 3],
            1 => message(FAMILY, MULTI, request.sequence, &[1, 1, 0]),
            // The answer to another question.
            2 => message(FAMILY, MULTI, request.sequence, &[12, 1, 0, 0]),
            _ => part(request.sequence, [2]),
        };
        datagrams([
            part(request.sequence, [1]),
            middle,
            done(request.sequence, 0, 0),
        ])
    })
    .exchange();
    for _ in 0..3 {
        assert!(matches!(list(&mut exchange), Err(Error::Malformed(_))));
        assert!(exchange.netlink.transport().arrivals.is_empty());
    }
    assert_eq!(list(&mut exchange).unwrap(), [1, 2]);
}

#[test]
fn parts_of_a_list_that_was_given_up_are_in_no_other() {
    let mut exchange = FakeKernel::new(|request: &Request| {
        let stale = request.sequence.wrapping_sub(1);
        datagrams([
            part(stale, [8, 9]),
            done(stale, INTERRUPTED, 0),
            part(request.sequence, [1]),
            done(request.sequence, 0, 0),
        ])
    })
    .exchange();
    assert_eq!(list(&mut exchange).unwrap(), [1]);
}

#[test]
fn one_answer_is_taken_whatever_comes_before_it() {
    let mut exchange = FakeKernel::new(|request: &Request| {
        datagrams([
            message(1, 0, request.sequence, &[]),
            part(request.sequence.wrapping_sub(3), [9]),
            part(request.sequence, [7]),
        ])
    })
    .exchange();
    let answer = exchange.get(Query::Service(service(7).key)).unwrap();
    let Answer::Service(entry) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(entry.service, service(7));
}

#[test]
fn one_answer_may_be_a_refusal_nothing_or_nonsense() {
    let key = ServiceKey::Mark {
        family: Family::V6,
        mark: std::num::NonZeroU32::MIN,
    };
    let mut exchange = FakeKernel::new(|request: &Request| match request.index {
        0 => vec![acknowledged(request.sequence, libc::ESRCH)],
        1 => vec![],
        2 => vec![Arrival::Fails(libc::ENOBUFS)],
        _ => datagrams([message(FAMILY, 0, request.sequence, &[1, 1, 0, 0])]),
    })
    .exchange();
    assert!(matches!(
        exchange.get(Query::Service(key)),
        Err(Error::NotThere(_))
    ));
    assert!(matches!(
        exchange.get(Query::Service(key)),
        Err(Error::Lost)
    ));
    assert!(matches!(
        exchange.get(Query::Service(key)),
        Err(Error::Lost)
    ));
    let missing = Malformed::Missing("IPVS_CMD_ATTR_SERVICE");
    match exchange.get(Query::Service(key)) {
        Err(Error::Malformed(malformed)) => assert_eq!(malformed, missing),
        other => panic!("{other:?}"),
    }
}

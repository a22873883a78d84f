//! Many changes in few sends.

use super::*;
use crate::{Change, Error, Failure, Protocol, Scheduler, Service, ServiceKey, ServiceSettings};

/// Adds a service, another for each number.
fn add(number: u16) -> Change {
    let address = ([10, 96, 0, 1], number).into();
    Change::AddService(Service {
        key: ServiceKey::address(Protocol::TCP, address),
        settings: ServiceSettings::new(Scheduler::RR),
    })
}

fn adds(count: u16) -> impl Iterator<Item = Change> {
    (0..count).map(add)
}

fn indices(failures: &[Failure]) -> Vec<usize> {
    failures.iter().map(|failure| failure.index).collect()
}

#[test]
fn changes_go_out_in_their_order_and_one_of_a_send_is_acknowledged() {
    let mut exchange = FakeKernel::new(refuse(|_| 0)).exchange();
    assert!(exchange.apply(adds(10_000)).unwrap().is_empty());
    let kernel = exchange.netlink.transport();
    let sequences: Vec<_> = kernel
        .requests
        .iter()
        .map(|request| request.sequence)
        .collect();
    assert_eq!(sequences, (2..10_002).collect::<Vec<u32>>());
    let acknowledged = kernel
        .requests
        .iter()
        .filter(|request| request.acknowledge)
        .count();
    assert_eq!(acknowledged, kernel.sends.len());
    assert!(kernel.sends.len() < 40, "{} sends", kernel.sends.len());
}

#[test]
fn no_send_is_larger_than_the_sockets_buffers_allow() {
    let mut kernel = FakeKernel::new(refuse(|_| 0));
    kernel.receive_limit = 10 * meshlite_netlink::REFUSAL_BYTES;
    let mut exchange = kernel.exchange();
    exchange.apply(adds(95)).unwrap();
    let requests: Vec<_> = exchange
        .netlink
        .transport()
        .sends
        .iter()
        .map(|send| send.0)
        .collect();
    assert_eq!(requests, [10, 10, 10, 10, 10, 10, 10, 10, 10, 5]);

    let mut kernel = FakeKernel::new(refuse(|_| 0));
    kernel.send_limit = 4096;
    let mut exchange = kernel.exchange();
    exchange.apply(adds(95)).unwrap();
    let largest = exchange
        .netlink
        .transport()
        .sends
        .iter()
        .map(|send| send.1)
        .max();
    assert!((3500..=4096).contains(&largest.unwrap()), "{largest:?}");
}

#[test]
fn buffers_of_no_size_still_let_one_change_through_at_a_time() {
    let mut kernel = FakeKernel::new(refuse(|_| 0));
    (kernel.send_limit, kernel.receive_limit) = (0, 0);
    let mut exchange = kernel.exchange();
    assert!(exchange.apply(adds(3)).unwrap().is_empty());
    assert_eq!(exchange.netlink.transport().sends.len(), 3);
}

#[test]
fn a_change_that_fails_is_named_by_its_place_and_stops_no_other() {
    let errno = |index| match index {
        3 => libc::EEXIST,
        700 => libc::ENOENT,
        999 => libc::EPERM,
        _ => 0,
    };
    let mut exchange = FakeKernel::new(refuse(errno)).exchange();
    let failures = exchange.apply(adds(1000)).unwrap();
    assert_eq!(indices(&failures), [3, 700, 999]);
    assert!(matches!(failures[0].error, Error::Exists(_)));
    assert!(matches!(failures[1].error, Error::NoSuchScheduler(_)));
    assert!(matches!(failures[2].error, Error::NoPermission(_)));
    assert_eq!(exchange.netlink.transport().requests.len(), 1000);
}

#[test]
fn all_changes_may_fail() {
    let mut exchange = FakeKernel::new(refuse(|_| libc::EPERM)).exchange();
    let failures = exchange.apply(adds(1000)).unwrap();
    assert_eq!(indices(&failures), (0..1000).collect::<Vec<_>>());
}

#[test]
fn several_answers_may_share_a_datagram() {
    let mut exchange = FakeKernel::new(|request: &Request| {
        if !request.acknowledge {
            return vec![];
        }
        let mut datagram = acknowledgement(request.sequence - 1, libc::EEXIST);
        datagram.extend(acknowledgement(request.sequence, 0));
        vec![Arrival::Datagram(datagram)]
    })
    .exchange();
    assert_eq!(indices(&exchange.apply(adds(5)).unwrap()), [3]);
}

#[test]
fn where_answers_were_lost_silence_is_not_success() {
    let mut exchange = FakeKernel::new(|request: &Request| match request.index {
        0 => vec![acknowledged(request.sequence, libc::EEXIST)],
        1 => vec![Arrival::Fails(libc::ENOBUFS)],
        _ if request.acknowledge => vec![acknowledged(request.sequence, 0)],
        _ => vec![],
    })
    .exchange();
    let failures = exchange.apply(adds(4)).unwrap();
    assert_eq!(indices(&failures), [0, 1, 2, 3]);
    assert!(
        matches!(failures[0].error, Error::Exists(_)),
        "what was heard is not forgotten"
    );
    assert!(
        failures[1..]
            .iter()
            .all(|failure| matches!(failure.error, Error::Lost))
    );
    assert!(
        exchange.apply(adds(4)).unwrap().is_empty(),
        "and the next changes are as any"
    );
}

#[test]
fn without_the_last_acknowledgement_nothing_is_taken_for_done() {
    let mut exchange = FakeKernel::new(|_: &Request| vec![]).exchange();
    let failures = exchange.apply(adds(2)).unwrap();
    assert_eq!(indices(&failures), [0, 1]);
    assert!(
        failures
            .iter()
            .all(|failure| matches!(failure.error, Error::Lost))
    );
}

#[test]
fn answers_to_requests_that_were_given_up_are_passed_over() {
    let mut exchange = FakeKernel::new(|request: &Request| {
        vec![
            acknowledged(request.sequence.wrapping_sub(100), libc::EPERM),
            acknowledged(request.sequence, 0),
        ]
    })
    .exchange();
    assert!(exchange.apply(adds(1)).unwrap().is_empty());
}

#[test]
fn an_interrupted_receive_is_repeated() {
    let mut exchange = FakeKernel::new(|request: &Request| {
        vec![
            Arrival::Fails(libc::EINTR),
            acknowledged(request.sequence, 0),
        ]
    })
    .exchange();
    assert!(exchange.apply(adds(1)).unwrap().is_empty());
}

#[test]
fn answers_that_make_no_sense_are_an_error() {
    let nonsense: [fn() -> Arrival; 2] = [|| Arrival::Datagram(vec![1, 2, 3]), || Arrival::TooLong];
    for arrival in nonsense {
        let mut exchange = FakeKernel::new(|_: &Request| vec![arrival()]).exchange();
        let error = exchange.apply(adds(1)).unwrap_err();
        assert!(matches!(error, Error::Malformed(_)), "{error:?}");
    }
}

#[test]
fn a_socket_that_fails_is_told_from_a_change_that_fails() {
    let mut exchange = FakeKernel::new(refuse(|_| 0)).exchange();
    exchange.netlink.transport().send_fails = true;
    assert!(matches!(exchange.apply(adds(1)), Err(Error::Socket(_))));

    let mut exchange =
        FakeKernel::new(|_: &Request| vec![Arrival::Fails(libc::ECONNREFUSED)]).exchange();
    assert!(matches!(exchange.apply(adds(1)), Err(Error::Socket(_))));
}

#[test]
fn no_changes_are_no_requests() {
    let mut exchange = FakeKernel::new(refuse(|_| 0)).exchange();
    assert!(exchange.apply([Change::Flush; 0]).unwrap().is_empty());
    assert!(exchange.netlink.transport().sends.is_empty());
}

//! Conversations with a kernel of the test's own making.

use std::{collections::VecDeque, io};

use super::*;
use crate::{
    Family, Place, Table, TableKey, UserData,
    codec::{object, uapi::Command},
};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_DUMP_INTR: u16 = 0x10;

/// What is received.
enum Answer {
    Datagram(Vec<u8>),
    Overrun,
}
use Answer::{Datagram, Overrun};

/// Answers each datagram with the next of its answers.
#[derive(Default)]
struct Kernel {
    /// For each datagram that is sent: what is received then, in order.
    script: VecDeque<Vec<Answer>>,
    pending: VecDeque<Answer>,
}

impl Transport for Kernel {
    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        self.pending
            .extend(self.script.pop_front().expect("nothing more is sent"));
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = match self.pending.pop_front() {
            Some(Datagram(datagram)) => datagram,
            Some(Overrun) => return Err(io::Error::from_raw_os_error(libc::ENOBUFS)),
            None => return Err(io::Error::from_raw_os_error(libc::EAGAIN)),
        };
        buffer[..datagram.len()].copy_from_slice(&datagram);
        Ok(datagram.len())
    }

    fn send_limit(&self) -> usize {
        usize::MAX
    }

    fn receive_limit(&self) -> usize {
        usize::MAX
    }
}

fn exchange(script: impl IntoIterator<Item = Vec<Answer>>) -> Exchange<Kernel> {
    Exchange::new(Kernel {
        script: script.into_iter().collect(),
        ..Kernel::default()
    })
}

fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + payload.len()).expect("short");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// What the kernel says of the request with this number; 0 is that it is done.
fn answer(sequence: u32, errno: i32) -> Answer {
    let mut payload = (-errno).to_ne_bytes().to_vec();
    payload.extend([0; 16]);
    Datagram(message(NLMSG_ERROR, 0x100, sequence, &payload))
}

fn table(name: &str) -> Table {
    let key = TableKey {
        family: Family::Ipv4,
        name: name.parse().expect("a name"),
    };
    Table {
        key,
        dormant: false,
        user_data: UserData::default(),
    }
}

fn two_changes() -> Transaction {
    let mut transaction = Transaction::new();
    transaction.add_table(&table("a"));
    transaction.add_table(&table("b"));
    transaction
}

fn rejected(answers: Vec<Answer>) -> Rejected {
    exchange([answers])
        .commit(&two_changes())
        .expect_err("it is rejected")
}

#[test]
fn an_acknowledged_transaction_is_made() {
    exchange([vec![answer(1, 0)]])
        .commit(&two_changes())
        .expect("made");
}

#[test]
fn a_transaction_without_changes_is_not_sent() {
    exchange([])
        .commit(&Transaction::new())
        .expect("nothing to do");
}

#[test]
fn a_refused_change_is_named_and_an_acknowledgement_beside_it_counts_for_nothing() {
    let rejected = rejected(vec![answer(1, 0), answer(2, libc::EBUSY)]);
    assert_eq!(rejected.first.place, Place::Change(1));
    assert!(
        matches!(rejected.first.error, Error::InUse(_)),
        "{rejected}"
    );
}

#[test]
fn refusals_of_begin_and_commit_are_of_the_whole() {
    let conflict = rejected(vec![answer(0, libc::ERESTART)]);
    assert_eq!(conflict.first.place, Place::Whole);
    assert!(
        matches!(conflict.first.error, Error::Conflict),
        "{conflict}"
    );
    let permission = rejected(vec![answer(0, libc::EPERM)]);
    assert!(
        matches!(permission.first.error, Error::NoPermission(_)),
        "{permission}"
    );
}

#[test]
fn all_failures_are_told_in_their_order() {
    let rejected = rejected(vec![answer(1, libc::EEXIST), answer(2, libc::ENOENT)]);
    assert!(
        matches!(rejected.first.error, Error::Exists(_)),
        "{rejected}"
    );
    assert!(matches!(
        rejected.others[..],
        [Failure {
            place: Place::Change(1),
            error: Error::NotThere(_)
        }]
    ));
}

#[test]
fn silence_is_no_consent_and_a_lost_answer_is_unknown() {
    assert!(matches!(rejected(vec![]).first.error, Error::Lost));
    assert!(matches!(rejected(vec![Overrun]).first.error, Error::Lost));
    // One failure that arrived is enough to know.
    let known = rejected(vec![answer(2, libc::EINVAL), Overrun]);
    assert!(matches!(known.first.error, Error::Invalid(_)), "{known}");
}

#[test]
fn what_an_earlier_conversation_left_is_no_answer() {
    let mut exchange = exchange([vec![answer(1, 0)]]);
    exchange
        .netlink
        .transport()
        .pending
        .push_back(answer(1, libc::EINVAL));
    exchange.commit(&two_changes()).expect("made");
}

/// One datagram of a list of tables.
fn listed(sequence: u32, flags: u16, names: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in names {
        let header = Header::of(Command::NewTable, flags, sequence, Some(Family::Ipv4));
        let mut w = header.begin(&mut bytes);
        object::put_table(&mut w, &table(name));
        w.end().expect("short");
    }
    bytes
}

/// The ruleset's generation.
fn generation(sequence: u32, generation: u32) -> Vec<Answer> {
    let mut payload = vec![0, 0, 0, 0, 8, 0, 1, 0];
    payload.extend(generation.to_be_bytes());
    let kind = Command::NewTable.message_type();
    vec![Datagram(message(kind, 0, sequence, &payload))]
}

fn done(sequence: u32) -> Vec<u8> {
    message(NLMSG_DONE, 0, sequence, &[0; 4])
}

fn names(exchange: &mut Exchange<Kernel>) -> Result<Vec<String>, Error> {
    let header = Header::of(Command::GetTable, 0, 0, None);
    let question = Question {
        header,
        write: &|_| {},
    };
    let take = |payload: Payload<'_>, list: &mut Vec<_>| {
        list.push(object::table(payload)?.table.key.name.to_string());
        Ok(())
    };
    exchange.list(&question, take, |list| {
        !list.iter().any(|name| name == "twice")
    })
}

#[test]
fn a_list_that_changed_meanwhile_is_read_again() {
    let mut exchange = exchange([
        generation(1, 5),
        vec![
            Datagram(listed(2, NLM_F_DUMP_INTR, &["a"])),
            Datagram(done(2)),
        ],
        generation(3, 5),
        // Said by no mark, but by the generation.
        vec![Datagram(listed(4, 0, &["a", "b"])), Datagram(done(4))],
        generation(5, 6),
        // Said by the list itself.
        vec![Datagram(listed(6, 0, &["twice"])), Datagram(done(6))],
        generation(7, 6),
        vec![
            Datagram(listed(8, 0, &["a"])),
            Datagram(listed(8, 0, &["b", "c"])),
            Datagram(done(8)),
        ],
        generation(9, 6),
    ]);
    assert_eq!(names(&mut exchange).expect("a list"), ["a", "b", "c"]);
}

#[test]
fn a_list_that_always_changes_is_given_up() {
    let mut script = vec![generation(1, 1)];
    for n in 1..=10 {
        script.push(vec![
            Datagram(listed(2 * n, 0, &["a"])),
            Datagram(done(2 * n)),
        ]);
        script.push(generation(2 * n + 1, n + 1));
    }
    let mut exchange = exchange(script);
    assert!(matches!(names(&mut exchange), Err(Error::Interrupted(10))));
}

#[test]
fn a_list_with_nonsense_is_received_to_its_end() {
    let kind = Command::NewTable.message_type();
    let nonsense = message(kind, 0, 2, &[2, 0, 0, 0, 255, 0, 1, 0]);
    let mut exchange = exchange([
        generation(1, 1),
        vec![Datagram(nonsense), Datagram(done(2))],
        generation(3, 1),
        vec![Datagram(listed(4, 0, &["a"])), Datagram(done(4))],
        generation(5, 1),
    ]);
    assert!(matches!(names(&mut exchange), Err(Error::Malformed(_))));
    assert_eq!(names(&mut exchange).expect("a list"), ["a"]);
}

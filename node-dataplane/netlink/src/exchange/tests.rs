//! Conversations with a kernel that refuses what it is told to refuse.

use std::collections::VecDeque;

use super::*;
use crate::{Header, Writer};

/// Refuses requests by their first attribute's value, and answers the others where they want an answer.
#[derive(Default)]
struct Kernel {
    answers: VecDeque<Vec<u8>>,
    sends: usize,
}

impl Transport for Kernel {
    fn send(&mut self, mut datagram: &[u8]) -> io::Result<()> {
        self.sends += 1;
        while let [l0, l1, l2, l3, _, _, f0, _, s0, s1, s2, s3, rest @ ..] = datagram {
            let length = usize::try_from(u32::from_ne_bytes([*l0, *l1, *l2, *l3])).unwrap();
            let errno = rest[8];
            if errno != 0 || f0 & 4 != 0 {
                let mut answer = vec![36, 0, 0, 0, 2, 0, 0, 1, *s0, *s1, *s2, *s3, 0, 0, 0, 0];
                answer.extend((-i32::from(errno)).to_ne_bytes());
                answer.extend([0; 16]);
                self.answers.push_back(answer);
            }
            datagram = &datagram[length..];
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(answer) = self.answers.pop_front() else {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        };
        buffer[..answer.len()].copy_from_slice(&answer);
        Ok(answer.len())
    }

    fn send_limit(&self) -> usize {
        4096
    }

    fn receive_limit(&self) -> usize {
        10 * REFUSAL_BYTES
    }
}

/// Makes changes, each of which is refused with its number, or done where that is 0. Gives the refused ones.
fn refused(exchange: &mut Exchange<Kernel>, errnos: &[u8]) -> Vec<(usize, u8)> {
    let write = |errno: &u8, ask: Ask, out: &mut Vec<u8>| {
        let header = Header {
            kind: 16,
            flags: 1 | if ask.acknowledge { 4 } else { 0 },
            sequence: ask.sequence,
        };
        let mut w = Writer::begin(out, header, &[]);
        w.put(1, &[*errno]);
        w.end().expect("it is short");
    };
    let failures = exchange.apply(errnos.iter().copied(), write).unwrap();
    let errno = |(index, change, error)| match error {
        Error::Refused(refusal) => {
            assert_eq!(refusal, Refusal::of(i32::from(change)));
            (index, change)
        }
        error => panic!("{error}"),
    };
    failures.into_iter().map(errno).collect()
}

#[test]
fn each_change_fails_by_itself_in_as_few_sends_as_there_is_room_for() {
    let mut exchange = Exchange::new(Kernel::default());
    let errnos: Vec<_> = (0..25).map(|i| if i % 7 == 3 { i } else { 0 }).collect();
    let expected = [(3, 3), (10, 10), (17, 17), (24, 24)];
    assert_eq!(refused(&mut exchange, &errnos), expected);
    assert_eq!(exchange.transport().sends, 3);
    assert_eq!(refused(&mut exchange, &[]), []);
    assert_eq!(exchange.transport().sends, 3);
}

#[test]
fn sequence_numbers_may_wrap() {
    let mut exchange = Exchange::new(Kernel::default());
    exchange.sequence = u32::MAX - 5;
    let mut errnos = [0; 20];
    errnos[7] = 17;
    assert_eq!(refused(&mut exchange, &errnos), [(7, 17)]);
}

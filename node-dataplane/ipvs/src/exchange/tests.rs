//! The exchange against a kernel that is made up: order, failures, lost answers, lists that change.

mod changes;
mod lists;

use std::{collections::VecDeque, io};

use meshlite_netlink::Transport;

use super::Exchange;

/// The number of the family in the made-up kernel.
const FAMILY: u16 = 0x1c;

/// A request, as it arrived.
#[derive(Clone, Debug)]
struct Request {
    sequence: u32,
    /// Whether success is to be answered too.
    acknowledge: bool,
    /// Position among all requests since the family was found.
    index: usize,
}

/// What is received one after the other.
enum Arrival {
    Datagram(Vec<u8>),
    /// A datagram that is longer than any buffer.
    TooLong,
    Fails(i32),
}

/// Answers each request by a rule.
struct FakeKernel<R> {
    rule: R,
    arrivals: VecDeque<Arrival>,
    requests: Vec<Request>,
    /// Requests in each datagram, and its bytes.
    sends: Vec<(usize, usize)>,
    send_limit: usize,
    receive_limit: usize,
    send_fails: bool,
}

impl<R: FnMut(&Request) -> Vec<Arrival>> FakeKernel<R> {
    fn new(rule: R) -> Self {
        Self {
            rule,
            arrivals: VecDeque::new(),
            requests: Vec::new(),
            sends: Vec::new(),
            send_limit: 200_000,
            receive_limit: 400_000,
            send_fails: false,
        }
    }

    /// An exchange that has found the family.
    fn exchange(self) -> Exchange<Self> {
        Exchange::begin(self).expect("the family is found")
    }
}

impl<R: FnMut(&Request) -> Vec<Arrival>> Transport for FakeKernel<R> {
    fn send(&mut self, mut datagram: &[u8]) -> io::Result<()> {
        if self.send_fails {
            return Err(io::Error::from_raw_os_error(libc::ECONNREFUSED));
        }
        let bytes = datagram.len();
        let mut count = 0;
        while let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *datagram {
            let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap();
            let sequence = u32::from_ne_bytes([s0, s1, s2, s3]);
            datagram = &datagram[length..];
            if u16::from_ne_bytes([k0, k1]) == 0x10 {
                let mut found = vec![1, 1, 0, 0];
                found.extend([6, 1, FAMILY].map(u16::to_ne_bytes).concat());
                self.arrivals
                    .push_back(Arrival::Datagram(message(0x10, 0, sequence, &found)));
                continue;
            }
            assert_eq!(u16::from_ne_bytes([k0, k1]), FAMILY);
            let request = Request {
                sequence,
                acknowledge: u16::from_ne_bytes([f0, f1]) & 4 != 0,
                index: self.requests.len(),
            };
            self.arrivals.extend((self.rule)(&request));
            self.requests.push(request);
            count += 1;
        }
        if count > 0 {
            self.sends.push((count, bytes));
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.arrivals.pop_front() {
            Some(Arrival::Datagram(bytes)) => {
                buffer[..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            }
            Some(Arrival::TooLong) => Ok(buffer.len() + 1),
            Some(Arrival::Fails(errno)) => Err(io::Error::from_raw_os_error(errno)),
            None => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
        }
    }

    fn send_limit(&self) -> usize {
        self.send_limit
    }

    fn receive_limit(&self) -> usize {
        self.receive_limit
    }
}

fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + payload.len()).unwrap();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// An acknowledgement, or with an error number a refusal, without the request that it is about.
fn acknowledgement(sequence: u32, errno: i32) -> Vec<u8> {
    let mut payload = (-errno).to_ne_bytes().to_vec();
    payload.extend([0; 16]);
    message(2, 0x100, sequence, &payload)
}

fn acknowledged(sequence: u32, errno: i32) -> Arrival {
    Arrival::Datagram(acknowledgement(sequence, errno))
}

/// A kernel's rule that refuses some requests and answers the others as they ask to be.
fn refuse(errno: impl Fn(usize) -> i32) -> impl FnMut(&Request) -> Vec<Arrival> {
    move |request| match errno(request.index) {
        0 if request.acknowledge => vec![acknowledged(request.sequence, 0)],
        0 => vec![],
        errno => vec![acknowledged(request.sequence, errno)],
    }
}

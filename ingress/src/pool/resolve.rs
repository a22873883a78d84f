//! Addresses of DNS names, remembered for a while.

use std::{cell::RefCell, collections::BTreeMap, io, net::SocketAddr, rc::Rc, time::Duration};

use tokio::time::{Instant, timeout};

/// How long an answer is used.
const TTL: Duration = Duration::from_secs(30);
/// Names that are remembered.
const CAPACITY: usize = 1024;

/// Looks names up, one cache for each worker.
#[derive(Debug)]
pub(crate) struct Resolver {
    limit: Duration,
    answers: RefCell<BTreeMap<Question, Answer>>,
}

/// A name and the port that goes with it.
type Question = (Box<str>, u16);

#[derive(Clone, Debug)]
struct Answer {
    addresses: Rc<[SocketAddr]>,
    until: Instant,
}

impl Resolver {
    /// A lookup may take `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            answers: RefCell::default(),
        }
    }

    /// The addresses of a name, sorted. An old answer is better than none.
    pub(crate) async fn resolve(&self, name: &str, port: u16) -> io::Result<Rc<[SocketAddr]>> {
        let key = (Box::from(name), port);
        let known = self.answers.borrow().get(&key).cloned();
        if let Some(answer) = &known
            && answer.until > Instant::now()
        {
            return Ok(Rc::clone(&answer.addresses));
        }
        let looked_up = timeout(self.limit, tokio::net::lookup_host((name, port))).await;
        let found = looked_up.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match (found, known) {
            (Ok(found), _) => {
                let mut found: Vec<_> = found.collect();
                found.sort_unstable();
                found.dedup();
                let addresses: Rc<[_]> = found.into();
                self.remember(key, Rc::clone(&addresses));
                Ok(addresses)
            }
            (Err(_), Some(answer)) => Ok(answer.addresses),
            (Err(error), None) => Err(error),
        }
    }

    fn remember(&self, key: Question, addresses: Rc<[SocketAddr]>) {
        let now = Instant::now();
        let mut answers = self.answers.borrow_mut();
        if answers.len() >= CAPACITY {
            answers.retain(|_, answer| answer.until > now);
        }
        if answers.len() < CAPACITY {
            answers.insert(
                key,
                Answer {
                    addresses,
                    until: now + TTL,
                },
            );
        }
    }
}

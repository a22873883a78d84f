//! What can go wrong, whatever the family.

use std::{fmt, io};

/// Why a conversation with the kernel came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused: what to do about it is the family's to say.
    #[error("the kernel refused: {0}")]
    Refused(Refusal),
    /// The kernel's answer was lost: the socket's receive buffer ran over. What it did is unknown: read what is there.
    #[error("the kernel's answer was lost, so what it did is unknown; read what is there again")]
    Lost,
    /// What was being listed changed all the while, several times over: ask again a little later.
    #[error("it changed while it was read, {0} times in a row")]
    Interrupted(u32),
    /// A request is longer than netlink or the socket takes: split it.
    #[error("it is too large for a netlink message or the socket's send buffer; split it")]
    TooLarge,
    /// The kernel is short of memory for the request, which it has not seen: ask again a little later.
    #[error("the kernel could not take it just now: {0}")]
    Busy(Refusal),
    /// The kernel's answer does not read as those of its family do. What was asked for may have been done.
    #[error("the kernel's answer makes no sense: {0}")]
    Malformed(#[from] Malformed),
    /// The socket itself failed: connect again. What was asked for may have been done.
    #[error("the netlink socket failed: {0}")]
    Socket(#[from] io::Error),
}

/// What the kernel said when it refused something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// The error number, as in `errno.h`: positive.
    pub errno: i32,
    /// The kernel's own words (extended ACK), where it had any.
    pub message: Option<Box<str>>,
    /// Where in the request's message it found fault, in bytes from its start, where it says so.
    pub offset: Option<usize>,
}

/// Why bytes are no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end before the message or attribute that they begin does.
    #[error("a message or attribute of {length} bytes has only {left} bytes")]
    Cut {
        /// Bytes it says it has.
        length: usize,
        /// Bytes there are.
        left: usize,
    },
    /// An attribute has a length that its kind does not have.
    #[error("attribute {attribute} has {length} bytes")]
    Size {
        /// Its name in the kernel's header.
        attribute: &'static str,
        /// Bytes of its value.
        length: usize,
    },
    /// An attribute that should be text, or a name, is none.
    #[error("attribute {attribute} is not text that it can have")]
    Text {
        /// Its name in the kernel's header.
        attribute: &'static str,
    },
    /// A field or attribute has a value that stands for nothing that is known.
    #[error("{attribute} has the unknown value {value}")]
    Value {
        /// Its name in the kernel's header.
        attribute: &'static str,
        /// The value.
        value: u32,
    },
    /// An attribute is not there, and nothing can be said without it.
    #[error("attribute {0} is missing")]
    Missing(&'static str),
    /// An answer to another question than was asked.
    #[error("the answer is to another question")]
    Unasked,
}

impl Refusal {
    /// One without words.
    pub fn of(errno: i32) -> Self {
        Self {
            errno,
            message: None,
            offset: None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from_raw_os_error(self.errno).fmt(f)?;
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

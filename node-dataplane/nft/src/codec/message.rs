//! Datagrams of the kernel to messages: data, refusals, ends of lists.

use super::{
    Malformed,
    read::Attributes,
    uapi::{
        NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_MIN_TYPE,
        NLMSGERR_ATTR_MSG, NLMSGERR_ATTR_OFFS,
    },
    write::ALIGNMENT,
};
use crate::{Family, Refusal};

/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Bytes of `struct nfgenmsg`.
const NF_HEADER: usize = 4;
/// The kernel's words are cut here; its own are far shorter.
const MAX_WORDS: usize = 256;

/// The messages in a datagram. Ends after the first that does not fit.
#[derive(Clone, Debug)]
pub(crate) struct Messages<'a>(&'a [u8]);

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// That of the request which it answers.
    pub(crate) sequence: u32,
    /// Whether what is being listed changed since the list began: the list is of no use.
    pub(crate) interrupted: bool,
    pub(crate) body: Body<'a>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    /// An object.
    Data(Payload<'a>),
    /// What became of a request.
    Acknowledged(Result<(), Refused>),
    /// The end of a list: complete, or given up.
    Done(Result<(), Refused>),
    /// Netlink's own, with nothing to do about it.
    Nothing,
}

/// An object as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payload<'a> {
    family: u8,
    attributes: &'a [u8],
}

/// What the kernel said, and where in the request's message it found fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) offset: Option<usize>,
}

impl<'a> Payload<'a> {
    pub(crate) fn attributes(self) -> Attributes<'a> {
        Attributes(self.attributes)
    }

    pub(crate) fn family(self) -> Result<Family, Malformed> {
        let value = u32::from(self.family);
        Family::from_number(value).ok_or(Malformed::Value {
            attribute: "nfgen_family",
            value,
        })
    }
}

impl<'a> Messages<'a> {
    /// The messages in `datagram`.
    pub(crate) fn of(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = std::mem::take(&mut self.0);
        if bytes.is_empty() {
            return None;
        }
        let Some(header) = bytes.first_chunk::<HEADER>() else {
            return Some(Err(Malformed::Cut {
                length: HEADER,
                left: bytes.len(),
            }));
        };
        let &[l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        let Some(payload) = bytes.get(HEADER..length) else {
            return Some(Err(Malformed::Cut {
                length,
                left: bytes.len(),
            }));
        };
        self.0 = bytes
            .get(length.next_multiple_of(ALIGNMENT)..)
            .unwrap_or_default();
        let flags = u16::from_ne_bytes([f0, f1]);
        let body = match u16::from_ne_bytes([k0, k1]) {
            NLMSG_ERROR => acknowledgement(payload, flags).map(Body::Acknowledged),
            NLMSG_DONE => done(payload, flags).map(Body::Done),
            ..NLMSG_MIN_TYPE => Ok(Body::Nothing),
            NLMSG_MIN_TYPE.. => data(payload).map(Body::Data),
        };
        Some(body.map(|body| Message {
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            interrupted: flags & NLM_F_DUMP_INTR != 0,
            body,
        }))
    }
}

fn data(payload: &[u8]) -> Result<Payload<'_>, Malformed> {
    match payload.split_first_chunk::<NF_HEADER>() {
        Some((&[family, ..], attributes)) => Ok(Payload { family, attributes }),
        None => Err(Malformed::Cut {
            length: NF_HEADER,
            left: payload.len(),
        }),
    }
}

/// `struct nlmsgerr`: a negative error number, the header of the request, the request itself unless it was left off, and
/// attributes.
fn acknowledgement(payload: &[u8], flags: u16) -> Result<Result<(), Refused>, Malformed> {
    const FIXED: usize = 4 + HEADER;
    let Some(fixed) = payload.first_chunk::<FIXED>() else {
        return Err(Malformed::Cut {
            length: FIXED,
            left: payload.len(),
        });
    };
    let &[e0, e1, e2, e3, l0, l1, l2, l3, ..] = fixed;
    let attributes = if flags & NLM_F_CAPPED == 0 {
        let request = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        let end = request.max(HEADER).saturating_add(4);
        // At the very end of the address space there is nothing to align, and nothing to find.
        let aligned = end.checked_next_multiple_of(ALIGNMENT).unwrap_or(end);
        payload.get(aligned..)
    } else {
        payload.get(FIXED..)
    };
    Ok(outcome(
        [e0, e1, e2, e3],
        attributes.unwrap_or_default(),
        flags,
    ))
}

/// An error number, and attributes where there was one. Old kernels leave it off, newer ones may leave it zero.
fn done(payload: &[u8], flags: u16) -> Result<Result<(), Refused>, Malformed> {
    match payload {
        [] => Ok(Ok(())),
        [e0, e1, e2, e3, attributes @ ..] => Ok(outcome([*e0, *e1, *e2, *e3], attributes, flags)),
        short => Err(Malformed::Cut {
            length: 4,
            left: short.len(),
        }),
    }
}

fn outcome(error: [u8; 4], attributes: &[u8], flags: u16) -> Result<(), Refused> {
    let error = i32::from_ne_bytes(error);
    if error >= 0 {
        return Ok(());
    }
    // What cannot be read of the attributes is left: the error number says enough.
    let mut message = None;
    let mut offset = None;
    if flags & NLM_F_ACK_TLVS != 0 {
        for attribute in Attributes(attributes).into_iter().map_while(Result::ok) {
            match (attribute.kind, attribute.bytes()) {
                (NLMSGERR_ATTR_MSG, bytes) => message = Some(words(bytes)),
                // In the machine's own order, as all that is netlink's own.
                (NLMSGERR_ATTR_OFFS, &[o0, o1, o2, o3]) => {
                    offset = usize::try_from(u32::from_ne_bytes([o0, o1, o2, o3])).ok();
                }
                _ => {}
            }
        }
    }
    let errno = error.saturating_neg();
    Err(Refused {
        refusal: Refusal { errno, message },
        offset,
    })
}

/// The kernel's words.
fn words(bytes: &[u8]) -> Box<str> {
    let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text.get(..MAX_WORDS).unwrap_or(text)).into()
}

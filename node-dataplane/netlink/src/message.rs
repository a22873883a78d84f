//! Datagrams of the kernel to messages: data, refusals, ends of lists.

use crate::{Attributes, Malformed, Refusal, write::ALIGNMENT};

/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;
/// The kernel's words are cut here; its own are far shorter.
const MAX_WORDS: usize = 256;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Types below are netlink's own.
const NLMSG_MIN_TYPE: u16 = 0x10;

const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;

const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;

/// The messages in a datagram. Ends after the first that does not fit.
#[derive(Clone, Debug)]
pub struct Messages<'a>(&'a [u8]);

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type: the family's, or below 16 netlink's own.
    pub kind: u16,
    /// That of the request which it answers.
    pub sequence: u32,
    /// Whether what is being listed changed since the list began (`NLM_F_DUMP_INTR`). Not every family watches for it:
    /// IPVS, up to Linux 6.18 at least, never says so.
    pub interrupted: bool,
    /// What it says.
    pub body: Body<'a>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// What stands behind the netlink header: the family's own header, and attributes.
    Data(&'a [u8]),
    /// The end of a request: done, or refused.
    Acknowledged(Result<(), Refusal>),
    /// The end of a list: complete, or given up.
    Done(Result<(), Refusal>),
    /// Netlink's own, with nothing to do about it.
    Nothing,
}

impl<'a> Messages<'a> {
    /// The messages in `datagram`.
    pub fn of(datagram: &'a [u8]) -> Self {
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
            return Some(Err(Malformed::cut(HEADER, bytes.len())));
        };
        let &[l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        let Some(payload) = bytes.get(HEADER..length) else {
            return Some(Err(Malformed::cut(length, bytes.len())));
        };
        self.0 = bytes
            .get(length.next_multiple_of(ALIGNMENT)..)
            .unwrap_or_default();
        let flags = u16::from_ne_bytes([f0, f1]);
        let kind = u16::from_ne_bytes([k0, k1]);
        let body = match kind {
            NLMSG_ERROR => acknowledgement(payload, flags).map(Body::Acknowledged),
            NLMSG_DONE => done(payload, flags).map(Body::Done),
            ..NLMSG_MIN_TYPE => Ok(Body::Nothing),
            NLMSG_MIN_TYPE.. => Ok(Body::Data(payload)),
        };
        Some(body.map(|body| Message {
            kind,
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            interrupted: flags & NLM_F_DUMP_INTR != 0,
            body,
        }))
    }
}

/// `struct nlmsgerr`: a negative error number, the header of the request, the request itself unless it was left off, and
/// attributes.
fn acknowledgement(payload: &[u8], flags: u16) -> Result<Result<(), Refusal>, Malformed> {
    const FIXED: usize = 4 + HEADER;
    let Some(fixed) = payload.first_chunk::<FIXED>() else {
        return Err(Malformed::cut(FIXED, payload.len()));
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
fn done(payload: &[u8], flags: u16) -> Result<Result<(), Refusal>, Malformed> {
    match payload {
        [] => Ok(Ok(())),
        [e0, e1, e2, e3, attributes @ ..] => Ok(outcome([*e0, *e1, *e2, *e3], attributes, flags)),
        short => Err(Malformed::cut(4, short.len())),
    }
}

fn outcome(error: [u8; 4], attributes: &[u8], flags: u16) -> Result<(), Refusal> {
    let error = i32::from_ne_bytes(error);
    if error >= 0 {
        return Ok(());
    }
    // What cannot be read of the attributes is left: the error number says enough.
    let mut refusal = Refusal::of(error.saturating_neg());
    if flags & NLM_F_ACK_TLVS != 0 {
        for attribute in Attributes(attributes).into_iter().map_while(Result::ok) {
            match (attribute.kind, attribute.bytes()) {
                (NLMSGERR_ATTR_MSG, bytes) => refusal.message = Some(words(bytes)),
                (NLMSGERR_ATTR_OFFS, &[o0, o1, o2, o3]) => {
                    refusal.offset = usize::try_from(u32::from_ne_bytes([o0, o1, o2, o3])).ok();
                }
                _ => {}
            }
        }
    }
    Err(refusal)
}

/// The kernel's words.
fn words(bytes: &[u8]) -> Box<str> {
    let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text.get(..MAX_WORDS).unwrap_or(text)).into()
}

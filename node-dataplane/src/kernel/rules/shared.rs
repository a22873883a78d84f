//! Elements that several virtual servers may have, told apart by what they are for.

use std::net::IpAddr;

use meshlite_nft::{Element, Field, Value};
use meshlite_snapshot::AddressFamily;

use super::{
    entry::Placed,
    helper::{HAIRPINS, VIPS},
    name::SetId,
    value::split_ip,
};

/// An element that several virtual servers may have: it is there as long as any of them has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shared {
    /// All ports of this address that are no virtual server's are refused.
    Vip(IpAddr),
    /// Whoever has this address, on this node, is masqueraded where it reaches itself.
    Hairpin(IpAddr),
}

impl Shared {
    /// As it is in the table.
    pub(crate) fn placed(self) -> Placed {
        let (name, ip, key) = match self {
            Self::Vip(ip) => (VIPS, ip, Field::from(ip).into()),
            Self::Hairpin(ip) => (HAIRPINS, ip, Value::concat(&[ip.into(), ip.into()])),
        };
        Placed {
            set: SetId::of(name, AddressFamily::of(ip)),
            element: Element::new(key),
        }
    }

    /// Reads what [`placed`](Self::placed) made; `None` where an element is anything else.
    pub(super) fn read(placed: &Placed) -> Option<Self> {
        let key = placed.element.key.as_ref()?;
        let (ip, _) = split_ip(key.as_bytes(), placed.set.family)?;
        let read = match placed.set.name {
            VIPS => Self::Vip(ip),
            HAIRPINS => Self::Hairpin(ip),
            _ => return None,
        };
        (read.placed() == *placed).then_some(read)
    }
}

//! Expressions of rules: `NFTA_EXPR_*`, and the numbers of each kind's attributes.

mod decode;
mod encode;

pub(super) use decode::read;
pub(super) use encode::put;

use super::read::Attributes;

/// `NFTA_EXPR_NAME`, `NFTA_EXPR_DATA`.
const NAME: u16 = 1;
const DATA: u16 = 2;

mod payload {
    pub(super) const DREG: u16 = 1;
    pub(super) const BASE: u16 = 2;
    pub(super) const OFFSET: u16 = 3;
    pub(super) const LEN: u16 = 4;
}

mod meta {
    pub(super) const DREG: u16 = 1;
    pub(super) const KEY: u16 = 2;
    pub(super) const SREG: u16 = 3;
}

mod ct {
    pub(super) const DREG: u16 = 1;
    pub(super) const KEY: u16 = 2;
    pub(super) const DIRECTION: u16 = 3;
    pub(super) const SREG: u16 = 4;
}

mod fib {
    pub(super) const DREG: u16 = 1;
    pub(super) const RESULT: u16 = 2;
    pub(super) const FLAGS: u16 = 3;
}

mod cmp {
    pub(super) const SREG: u16 = 1;
    pub(super) const OP: u16 = 2;
    pub(super) const DATA: u16 = 3;
}

mod range {
    pub(super) const SREG: u16 = 1;
    pub(super) const OP: u16 = 2;
    pub(super) const FROM: u16 = 3;
    pub(super) const TO: u16 = 4;
    pub(super) const OUTSIDE: u32 = 1;
}

mod bitwise {
    pub(super) const SREG: u16 = 1;
    pub(super) const DREG: u16 = 2;
    pub(super) const LEN: u16 = 3;
    pub(super) const MASK: u16 = 4;
    pub(super) const XOR: u16 = 5;
    pub(super) const OP: u16 = 6;
}

mod lookup {
    pub(super) const SET: u16 = 1;
    pub(super) const SREG: u16 = 2;
    pub(super) const DREG: u16 = 3;
    pub(super) const FLAGS: u16 = 5;
    pub(super) const F_INVERT: u32 = 1;
    /// `NFT_REG_VERDICT`.
    pub(super) const VERDICT: u32 = 0;
}

mod dynset {
    pub(super) const SET: u16 = 1;
    pub(super) const OP: u16 = 3;
    pub(super) const SREG_KEY: u16 = 4;
    pub(super) const SREG_DATA: u16 = 5;
    pub(super) const TIMEOUT: u16 = 6;
    pub(super) const EXPR: u16 = 7;
    pub(super) const FLAGS: u16 = 9;
    pub(super) const EXPRESSIONS: u16 = 10;
}

mod xt_match {
    pub(super) const NAME: u16 = 1;
    pub(super) const REV: u16 = 2;
    pub(super) const INFO: u16 = 3;
}

mod numgen {
    pub(super) const DREG: u16 = 1;
    pub(super) const MODULUS: u16 = 2;
    pub(super) const TYPE: u16 = 3;
    pub(super) const OFFSET: u16 = 4;
}

mod hash {
    pub(super) const SREG: u16 = 1;
    pub(super) const DREG: u16 = 2;
    pub(super) const LEN: u16 = 3;
    pub(super) const MODULUS: u16 = 4;
    pub(super) const SEED: u16 = 5;
    pub(super) const OFFSET: u16 = 6;
    pub(super) const TYPE: u16 = 7;
    pub(super) const JENKINS: u32 = 0;
}

mod nat {
    pub(super) const TYPE: u16 = 1;
    pub(super) const FAMILY: u16 = 2;
    pub(super) const ADDRESS_MIN: u16 = 3;
    pub(super) const ADDRESS_MAX: u16 = 4;
    pub(super) const PORT_MIN: u16 = 5;
    pub(super) const PORT_MAX: u16 = 6;
    pub(super) const FLAGS: u16 = 7;
    /// Addresses, ports: the kernel says of itself whether they are given.
    pub(super) const F_GIVEN: u32 = 3;
}

mod masq {
    pub(super) const FLAGS: u16 = 1;
    pub(super) const PORT_MIN: u16 = 2;
}

mod redir {
    pub(super) const PORT_MIN: u16 = 1;
    pub(super) const PORT_MAX: u16 = 2;
    pub(super) const FLAGS: u16 = 3;
}

mod reject {
    pub(super) const TYPE: u16 = 1;
    pub(super) const CODE: u16 = 2;
    pub(super) const ICMP: u32 = 0;
    pub(super) const TCP_RESET: u32 = 1;
    pub(super) const ICMPX: u32 = 2;
}

mod counter {
    pub(super) const BYTES: u16 = 1;
    pub(super) const PACKETS: u16 = 2;
}

mod immediate {
    pub(super) const DREG: u16 = 1;
    pub(super) const DATA: u16 = 2;
}

/// Registers that are addressed by 16 bytes are `NFT_REG_1` to `NFT_REG_4`, those by 4 bytes `NFT_REG32_00` and so on.
const WORDS_PER_REGISTER: u8 = 4;
const REG_1: u8 = 1;
const REG32_00: u8 = 8;

/// Whether an expression names a set, chain or object of the table, which may not be there.
pub(super) fn names_an_object(expression: Attributes<'_>) -> bool {
    let name = expression.find(NAME).ok().flatten();
    let name = name.and_then(|name| name.str("NFTA_EXPR_NAME").ok());
    matches!(name, Some("lookup" | "dynset" | "immediate" | "objref"))
}

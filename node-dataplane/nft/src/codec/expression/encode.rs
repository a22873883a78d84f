//! Expressions to attributes.

use super::{
    DATA, NAME, REG_1, REG32_00, WORDS_PER_REGISTER, bitwise, cmp, counter, ct, dynset, fib, hash,
    immediate, lookup, masq, meta, nat, numgen, payload, range, redir, reject, xt_match,
};
use crate::{
    Expression, Lookup, NatFlags, Register, Reject,
    codec::{
        set::milliseconds,
        value::{put_value, put_verdict},
        write::{Writer, WriterExt as _},
    },
};

/// Writes one expression: its name, and what it has to say.
pub(in crate::codec) fn put(w: &mut Writer<'_>, expression: &Expression) {
    w.put_str(NAME, name(expression));
    // The kernel has no attributes of these, and need not be told so.
    if !matches!(expression, Expression::Notrack | Expression::Other(_)) {
        w.nest(DATA, |w| put_data(w, expression));
    }
}

/// The kernel's name for it.
fn name(expression: &Expression) -> &str {
    match expression {
        Expression::Payload { .. } => "payload",
        Expression::Meta { .. } | Expression::SetMeta { .. } => "meta",
        Expression::Conntrack { .. } | Expression::SetConntrack { .. } => "ct",
        Expression::Fib { .. } => "fib",
        Expression::Compare { .. } => "cmp",
        Expression::Range { .. } => "range",
        Expression::Bitwise { .. } => "bitwise",
        Expression::Lookup { .. } => "lookup",
        Expression::Dynset { .. } => "dynset",
        Expression::Numgen { .. } => "numgen",
        Expression::Jhash { .. } => "hash",
        Expression::Nat { .. } => "nat",
        Expression::Masquerade { .. } => "masq",
        Expression::Redirect { .. } => "redir",
        Expression::Reject(_) => "reject",
        Expression::Notrack => "notrack",
        Expression::Counter { .. } => "counter",
        Expression::XtablesMatch { .. } => "match",
        Expression::Immediate { .. } | Expression::Verdict(_) => "immediate",
        Expression::Other(name) => name.as_str(),
    }
}

fn put_data(w: &mut Writer<'_>, expression: &Expression) {
    match expression {
        Expression::Payload {
            base,
            offset,
            length,
            to,
        } => {
            put_register(w, payload::DREG, *to);
            w.put_u32(payload::BASE, base.number());
            w.put_u32(payload::OFFSET, *offset);
            w.put_u32(payload::LEN, *length);
        }
        Expression::Meta { key, to } => {
            put_register(w, meta::DREG, *to);
            w.put_u32(meta::KEY, key.number());
        }
        Expression::SetMeta { key, from } => {
            put_register(w, meta::SREG, *from);
            w.put_u32(meta::KEY, key.number());
        }
        Expression::Conntrack { key, direction, to } => {
            put_register(w, ct::DREG, *to);
            w.put_u32(ct::KEY, key.number());
            if let Some(direction) = direction {
                w.put(ct::DIRECTION, &direction.number().to_le_bytes()[..1]);
            }
        }
        Expression::SetConntrack { key, from } => {
            put_register(w, ct::SREG, *from);
            w.put_u32(ct::KEY, key.number());
        }
        Expression::Fib { result, flags, to } => {
            put_register(w, fib::DREG, *to);
            w.put_u32(fib::RESULT, result.number());
            w.put_u32(fib::FLAGS, flags.bits());
        }
        Expression::Numgen { .. } | Expression::Jhash { .. } => put_generated(w, expression),
        Expression::Compare { .. } | Expression::Range { .. } | Expression::Bitwise { .. } => {
            put_comparison(w, expression);
        }
        Expression::Lookup { .. } | Expression::Dynset { .. } => put_set_use(w, expression),
        Expression::Nat { .. } | Expression::Masquerade { .. } | Expression::Redirect { .. } => {
            put_translation(w, expression);
        }
        Expression::Reject(how) => put_reject(w, *how),
        Expression::Counter { packets, bytes } => {
            w.put_u64(counter::BYTES, *bytes);
            w.put_u64(counter::PACKETS, *packets);
        }
        Expression::Immediate { value, to } => {
            put_register(w, immediate::DREG, *to);
            put_value(w, immediate::DATA, value);
        }
        Expression::Verdict(verdict) => {
            w.put_u32(immediate::DREG, lookup::VERDICT);
            put_verdict(w, immediate::DATA, verdict);
        }
        Expression::XtablesMatch {
            name,
            revision,
            info,
        } => {
            w.put_name(xt_match::NAME, name);
            w.put_u32(xt_match::REV, *revision);
            w.put(xt_match::INFO, info);
        }
        Expression::Notrack | Expression::Other(_) => {}
    }
}

fn put_generated(w: &mut Writer<'_>, expression: &Expression) {
    match expression {
        Expression::Numgen {
            kind,
            modulus,
            offset,
            to,
        } => {
            put_register(w, numgen::DREG, *to);
            w.put_u32(numgen::MODULUS, *modulus);
            w.put_u32(numgen::TYPE, kind.number());
            w.put_u32(numgen::OFFSET, *offset);
        }
        Expression::Jhash {
            from,
            length,
            modulus,
            offset,
            seed,
            to,
        } => {
            put_register(w, hash::SREG, *from);
            put_register(w, hash::DREG, *to);
            w.put_u32(hash::LEN, *length);
            w.put_u32(hash::MODULUS, *modulus);
            if let Some(seed) = seed {
                w.put_u32(hash::SEED, *seed);
            }
            w.put_u32(hash::OFFSET, *offset);
            w.put_u32(hash::TYPE, hash::JENKINS);
        }
        _ => {}
    }
}

fn put_comparison(w: &mut Writer<'_>, expression: &Expression) {
    match expression {
        Expression::Compare {
            comparison,
            register,
            value,
        } => {
            put_register(w, cmp::SREG, *register);
            w.put_u32(cmp::OP, comparison.number());
            put_value(w, cmp::DATA, value);
        }
        Expression::Range {
            invert,
            register,
            first,
            last,
        } => {
            put_register(w, range::SREG, *register);
            w.put_u32(range::OP, if *invert { range::OUTSIDE } else { 0 });
            put_value(w, range::FROM, first);
            put_value(w, range::TO, last);
        }
        Expression::Bitwise {
            from,
            to,
            mask,
            flip,
        } => {
            put_register(w, bitwise::SREG, *from);
            put_register(w, bitwise::DREG, *to);
            w.put_u32(bitwise::LEN, mask.length());
            put_value(w, bitwise::MASK, mask);
            put_value(w, bitwise::XOR, flip);
        }
        _ => {}
    }
}

fn put_set_use(w: &mut Writer<'_>, expression: &Expression) {
    match expression {
        Expression::Lookup { set, key, then } => {
            w.put_name(lookup::SET, set);
            put_register(w, lookup::SREG, *key);
            match then {
                Lookup::Contains => {}
                Lookup::Lacks => w.put_u32(lookup::FLAGS, lookup::F_INVERT),
                Lookup::Load(to) => put_register(w, lookup::DREG, *to),
                Lookup::Decide => w.put_u32(lookup::DREG, lookup::VERDICT),
            }
        }
        Expression::Dynset {
            set,
            operation,
            key,
            data,
            timeout,
        } => {
            w.put_name(dynset::SET, set);
            w.put_u32(dynset::OP, operation.number());
            put_register(w, dynset::SREG_KEY, *key);
            if let Some(data) = data {
                put_register(w, dynset::SREG_DATA, *data);
            }
            if let Some(timeout) = timeout {
                w.put_u64(dynset::TIMEOUT, milliseconds(*timeout));
            }
        }
        _ => {}
    }
}

fn put_translation(w: &mut Writer<'_>, expression: &Expression) {
    match expression {
        Expression::Nat {
            kind,
            family,
            address,
            port,
            flags,
        } => {
            w.put_u32(nat::TYPE, kind.number());
            w.put_u32(nat::FAMILY, family.number());
            if let Some(address) = address {
                put_register(w, nat::ADDRESS_MIN, *address);
            }
            if let Some(port) = port {
                put_register(w, nat::PORT_MIN, *port);
            }
            put_nat_flags(w, nat::FLAGS, *flags);
        }
        Expression::Masquerade { flags } => put_nat_flags(w, masq::FLAGS, *flags),
        Expression::Redirect { port, flags } => {
            if let Some(port) = port {
                put_register(w, redir::PORT_MIN, *port);
            }
            put_nat_flags(w, redir::FLAGS, *flags);
        }
        _ => {}
    }
}

fn put_reject(w: &mut Writer<'_>, how: Reject) {
    let (kind, code) = match how {
        Reject::Icmp(code) => (reject::ICMP, Some(code)),
        Reject::Icmpx(why) => (reject::ICMPX, u8::try_from(why.number()).ok()),
        Reject::TcpReset => (reject::TCP_RESET, None),
    };
    w.put_u32(reject::TYPE, kind);
    if let Some(code) = code {
        w.put(reject::CODE, &[code]);
    }
}

fn put_register(w: &mut Writer<'_>, kind: u16, register: Register) {
    let place = register.place();
    let number = if place.is_multiple_of(WORDS_PER_REGISTER) {
        REG_1 + place / WORDS_PER_REGISTER
    } else {
        REG32_00 + place
    };
    w.put_u32(kind, number.into());
}

fn put_nat_flags(w: &mut Writer<'_>, kind: u16, flags: NatFlags) {
    if !flags.is_empty() {
        w.put_u32(kind, flags.bits());
    }
}

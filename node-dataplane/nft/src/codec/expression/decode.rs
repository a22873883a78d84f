//! Attributes to expressions. What is not known, or has more to it than is known, becomes [`Expression::Other`].

use super::{
    DATA, NAME, REG_1, REG32_00, WORDS_PER_REGISTER, bitwise, cmp, counter, ct, dynset, fib, hash,
    immediate, lookup, masq, meta, nat, numgen, payload, range, redir, reject, xt_match,
};
use crate::{
    Comparison, ConntrackKey, Data, Direction, DynsetOperation, Expression, Family, FibFlags,
    FibResult, Icmpx, Lookup, MetaKey, NatFlags, NatKind, NumgenKind, PayloadBase, Register,
    Reject,
    codec::{
        Malformed,
        read::{Attribute, Attributes, AttributesExt as _},
        value,
    },
};

/// Reads one expression.
pub(in crate::codec) fn read(attributes: Attributes<'_>) -> Result<Expression, Malformed> {
    let name = attributes.name(NAME, "NFTA_EXPR_NAME")?;
    let known = known(name.as_str(), attributes.inside(DATA)?)?;
    Ok(known.unwrap_or(Expression::Other(name)))
}

type Known = Result<Option<Expression>, Malformed>;

fn known(name: &str, data: Attributes<'_>) -> Known {
    match name {
        "payload" => read_payload(data),
        "meta" => read_meta(data),
        "ct" => read_conntrack(data),
        "fib" => read_fib(data),
        "cmp" => read_compare(data),
        "range" => read_range(data),
        "bitwise" => read_bitwise(data),
        "lookup" => read_lookup(data),
        "dynset" => read_dynset(data),
        "numgen" => read_numgen(data),
        "hash" => read_hash(data),
        "nat" => read_nat(data),
        "masq" => read_masquerade(data),
        "redir" => read_redirect(data),
        "reject" => read_reject(data),
        "notrack" => Ok(Some(Expression::Notrack)),
        "counter" => Ok(Some(Expression::Counter {
            packets: data
                .u64(counter::PACKETS, "NFTA_COUNTER_PACKETS")?
                .unwrap_or(0),
            bytes: data.u64(counter::BYTES, "NFTA_COUNTER_BYTES")?.unwrap_or(0),
        })),
        "immediate" => read_immediate(data),
        "match" => Ok(Some(Expression::XtablesMatch {
            name: data.name(xt_match::NAME, "NFTA_MATCH_NAME")?,
            revision: data.need_u32(xt_match::REV, "NFTA_MATCH_REV")?,
            info: data.need(xt_match::INFO, "NFTA_MATCH_INFO")?.bytes().into(),
        })),
        _ => Ok(None),
    }
}

/// The value, or an early return as unknown.
macro_rules! known {
    ($option:expr) => {
        match $option {
            Some(value) => value,
            None => return Ok(None),
        }
    };
}

fn read_payload(data: Attributes<'_>) -> Known {
    // Without it the packet is written, which this crate does not know.
    let to = known!(register(data, payload::DREG, "NFTA_PAYLOAD_DREG")?);
    let base = data.need_u32(payload::BASE, "NFTA_PAYLOAD_BASE")?;
    Ok(Some(Expression::Payload {
        base: known!(PayloadBase::from_number(base)),
        offset: data.need_u32(payload::OFFSET, "NFTA_PAYLOAD_OFFSET")?,
        length: data.need_u32(payload::LEN, "NFTA_PAYLOAD_LEN")?,
        to,
    }))
}

fn read_meta(data: Attributes<'_>) -> Known {
    let key = known!(MetaKey::from_number(
        data.need_u32(meta::KEY, "NFTA_META_KEY")?
    ));
    if let Some(from) = register(data, meta::SREG, "NFTA_META_SREG")? {
        return Ok(Some(Expression::SetMeta { key, from }));
    }
    let to = known!(register(data, meta::DREG, "NFTA_META_DREG")?);
    Ok(Some(Expression::Meta { key, to }))
}

fn read_conntrack(data: Attributes<'_>) -> Known {
    let key = known!(ConntrackKey::from_number(
        data.need_u32(ct::KEY, "NFTA_CT_KEY")?
    ));
    if let Some(from) = register(data, ct::SREG, "NFTA_CT_SREG")? {
        return Ok(Some(Expression::SetConntrack { key, from }));
    }
    let direction = match data.find(ct::DIRECTION)? {
        None => None,
        Some(direction) => {
            let number = direction.u8("NFTA_CT_DIRECTION")?.into();
            Some(known!(Direction::from_number(number)))
        }
    };
    let to = known!(register(data, ct::DREG, "NFTA_CT_DREG")?);
    Ok(Some(Expression::Conntrack { key, direction, to }))
}

fn read_fib(data: Attributes<'_>) -> Known {
    let flags = data.need_u32(fib::FLAGS, "NFTA_FIB_FLAGS")?;
    let result = data.need_u32(fib::RESULT, "NFTA_FIB_RESULT")?;
    Ok(Some(Expression::Fib {
        result: known!(FibResult::from_number(result)),
        flags: known!(FibFlags::from_bits(flags)),
        to: known!(register(data, fib::DREG, "NFTA_FIB_DREG")?),
    }))
}

fn read_compare(data: Attributes<'_>) -> Known {
    let comparison = Comparison::from_number(data.need_u32(cmp::OP, "NFTA_CMP_OP")?);
    Ok(Some(Expression::Compare {
        comparison: known!(comparison),
        register: known!(register(data, cmp::SREG, "NFTA_CMP_SREG")?),
        value: value::value(data, cmp::DATA, "NFTA_CMP_DATA")?,
    }))
}

fn read_range(data: Attributes<'_>) -> Known {
    Ok(Some(Expression::Range {
        invert: data.need_u32(range::OP, "NFTA_RANGE_OP")? == range::OUTSIDE,
        register: known!(register(data, range::SREG, "NFTA_RANGE_SREG")?),
        first: value::value(data, range::FROM, "NFTA_RANGE_FROM_DATA")?,
        last: value::value(data, range::TO, "NFTA_RANGE_TO_DATA")?,
    }))
}

fn read_bitwise(data: Attributes<'_>) -> Known {
    // Newer kernels name the operation. Others than this one are shifts, and bits of two registers.
    if data.u32(bitwise::OP, "NFTA_BITWISE_OP")?.unwrap_or(0) != 0 {
        return Ok(None);
    }
    Ok(Some(Expression::Bitwise {
        from: known!(register(data, bitwise::SREG, "NFTA_BITWISE_SREG")?),
        to: known!(register(data, bitwise::DREG, "NFTA_BITWISE_DREG")?),
        mask: value::value(data, bitwise::MASK, "NFTA_BITWISE_MASK")?,
        flip: value::value(data, bitwise::XOR, "NFTA_BITWISE_XOR")?,
    }))
}

fn read_lookup(data: Attributes<'_>) -> Known {
    let invert = data.u32(lookup::FLAGS, "NFTA_LOOKUP_FLAGS")?.unwrap_or(0);
    let then = match data.u32(lookup::DREG, "NFTA_LOOKUP_DREG")? {
        None if invert == lookup::F_INVERT => Lookup::Lacks,
        None => Lookup::Contains,
        Some(lookup::VERDICT) => Lookup::Decide,
        Some(number) => Lookup::Load(known!(register_of(number))),
    };
    Ok(Some(Expression::Lookup {
        set: data.name(lookup::SET, "NFTA_LOOKUP_SET")?,
        key: known!(register(data, lookup::SREG, "NFTA_LOOKUP_SREG")?),
        then,
    }))
}

fn read_dynset(data: Attributes<'_>) -> Known {
    let flags = data.u32(dynset::FLAGS, "NFTA_DYNSET_FLAGS")?.unwrap_or(0);
    let has_expressions =
        data.find(dynset::EXPR)?.is_some() || data.find(dynset::EXPRESSIONS)?.is_some();
    if flags != 0 || has_expressions {
        return Ok(None);
    }
    let operation = data.need_u32(dynset::OP, "NFTA_DYNSET_OP")?;
    Ok(Some(Expression::Dynset {
        set: data.name(dynset::SET, "NFTA_DYNSET_SET_NAME")?,
        operation: known!(DynsetOperation::from_number(operation)),
        key: known!(register(data, dynset::SREG_KEY, "NFTA_DYNSET_SREG_KEY")?),
        data: register(data, dynset::SREG_DATA, "NFTA_DYNSET_SREG_DATA")?,
        timeout: data.milliseconds(dynset::TIMEOUT, "NFTA_DYNSET_TIMEOUT")?,
    }))
}

fn read_numgen(data: Attributes<'_>) -> Known {
    let kind = NumgenKind::from_number(data.need_u32(numgen::TYPE, "NFTA_NG_TYPE")?);
    Ok(Some(Expression::Numgen {
        kind: known!(kind),
        modulus: data.need_u32(numgen::MODULUS, "NFTA_NG_MODULUS")?,
        offset: data.u32(numgen::OFFSET, "NFTA_NG_OFFSET")?.unwrap_or(0),
        to: known!(register(data, numgen::DREG, "NFTA_NG_DREG")?),
    }))
}

fn read_hash(data: Attributes<'_>) -> Known {
    if data
        .u32(hash::TYPE, "NFTA_HASH_TYPE")?
        .unwrap_or(hash::JENKINS)
        != hash::JENKINS
    {
        return Ok(None);
    }
    Ok(Some(Expression::Jhash {
        from: known!(register(data, hash::SREG, "NFTA_HASH_SREG")?),
        length: data.need_u32(hash::LEN, "NFTA_HASH_LEN")?,
        modulus: data.need_u32(hash::MODULUS, "NFTA_HASH_MODULUS")?,
        offset: data.u32(hash::OFFSET, "NFTA_HASH_OFFSET")?.unwrap_or(0),
        seed: data.u32(hash::SEED, "NFTA_HASH_SEED")?,
        to: known!(register(data, hash::DREG, "NFTA_HASH_DREG")?),
    }))
}

fn read_nat(data: Attributes<'_>) -> Known {
    let kind = data.need_u32(nat::TYPE, "NFTA_NAT_TYPE")?;
    let family = data.need_u32(nat::FAMILY, "NFTA_NAT_FAMILY")?;
    let address = register(data, nat::ADDRESS_MIN, "NFTA_NAT_REG_ADDR_MIN")?;
    let port = register(data, nat::PORT_MIN, "NFTA_NAT_REG_PROTO_MIN")?;
    let last_address = register(data, nat::ADDRESS_MAX, "NFTA_NAT_REG_ADDR_MAX")?;
    let last_port = register(data, nat::PORT_MAX, "NFTA_NAT_REG_PROTO_MAX")?;
    if is_range(address, last_address) || is_range(port, last_port) {
        return Ok(None);
    }
    Ok(Some(Expression::Nat {
        kind: known!(NatKind::from_number(kind)),
        family: known!(Family::from_number(family)),
        address,
        port,
        flags: known!(nat_flags(data, nat::FLAGS)?),
    }))
}

/// The kernel fills in the last of what is no range.
fn is_range(first: Option<Register>, last: Option<Register>) -> bool {
    last.is_some() && last != first
}

fn read_masquerade(data: Attributes<'_>) -> Known {
    if data.find(masq::PORT_MIN)?.is_some() {
        return Ok(None);
    }
    let flags = known!(nat_flags(data, masq::FLAGS)?);
    Ok(Some(Expression::Masquerade { flags }))
}

fn read_redirect(data: Attributes<'_>) -> Known {
    let port = register(data, redir::PORT_MIN, "NFTA_REDIR_REG_PROTO_MIN")?;
    if is_range(
        port,
        register(data, redir::PORT_MAX, "NFTA_REDIR_REG_PROTO_MAX")?,
    ) {
        return Ok(None);
    }
    let flags = known!(nat_flags(data, redir::FLAGS)?);
    Ok(Some(Expression::Redirect { port, flags }))
}

fn nat_flags(data: Attributes<'_>, kind: u16) -> Result<Option<NatFlags>, Malformed> {
    let bits = data.u32(kind, "NFTA_NAT_FLAGS")?.unwrap_or(0);
    Ok(NatFlags::from_bits(bits & !nat::F_GIVEN))
}

fn read_reject(data: Attributes<'_>) -> Known {
    let code = || {
        let code = data.need(reject::CODE, "NFTA_REJECT_ICMP_CODE")?;
        Attribute::u8(code, "NFTA_REJECT_ICMP_CODE")
    };
    let how = match data.need_u32(reject::TYPE, "NFTA_REJECT_TYPE")? {
        reject::ICMP => Reject::Icmp(code()?),
        reject::ICMPX => Reject::Icmpx(known!(Icmpx::from_number(code()?.into()))),
        reject::TCP_RESET => Reject::TcpReset,
        _ => return Ok(None),
    };
    Ok(Some(Expression::Reject(how)))
}

fn read_immediate(data: Attributes<'_>) -> Known {
    let content = data.need(immediate::DATA, "NFTA_IMMEDIATE_DATA")?;
    Ok(Some(match value::data(content.nested())? {
        Data::Verdict(verdict) => Expression::Verdict(verdict),
        Data::Value(value) => {
            let to = known!(register(data, immediate::DREG, "NFTA_IMMEDIATE_DREG")?);
            Expression::Immediate { value, to }
        }
    }))
}

fn register(
    data: Attributes<'_>,
    kind: u16,
    name: &'static str,
) -> Result<Option<Register>, Malformed> {
    Ok(data.u32(kind, name)?.and_then(register_of))
}

fn register_of(number: u32) -> Option<Register> {
    let number = u8::try_from(number).ok()?;
    let place = match number {
        REG_1..REG32_00 => (number - REG_1).checked_mul(WORDS_PER_REGISTER)?,
        REG32_00.. => number - REG32_00,
        _ => return None,
    };
    (place < Register::COUNT).then(|| Register::word(place))
}

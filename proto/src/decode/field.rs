//! Checks of single fields, shared by all types.

use std::{net::IpAddr, ops::RangeInclusive, str::FromStr};

use ipnet::IpNet;
use meshlite_snapshot::{AddressFamily, Name, Protocol};

use super::DecodeError;
use crate::v1;

pub(super) fn required<T>(field: &str, value: Option<T>) -> Result<T, DecodeError> {
    value.ok_or_else(|| DecodeError::invalid(field, "missing"))
}

/// Parses every element; an error names its index.
pub(super) fn each<M, T>(
    field: &str,
    values: impl IntoIterator<Item = M>,
    mut parse: impl FnMut(M) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| {
            parse(value).map_err(|error| error.within(format_args!("{field}[{index}]")))
        })
        .collect()
}

pub(super) fn addresses(field: &str, values: &[String]) -> Result<Vec<IpAddr>, DecodeError> {
    all_parsed(field, values, "an IP address")
}

pub(super) fn networks(field: &str, values: &[String]) -> Result<Vec<IpNet>, DecodeError> {
    all_parsed(field, values, "a network in CIDR notation")
}

pub(super) fn address(field: &str, value: &str) -> Result<IpAddr, DecodeError> {
    value
        .parse()
        .map_err(|_unhelpful| not_a(field, value, "an IP address"))
}

/// A port, where 0 stands for none.
pub(super) fn optional_port(field: &str, value: u32) -> Result<Option<u16>, DecodeError> {
    match value {
        0 => Ok(None),
        value => port(field, value).map(Some),
    }
}

pub(super) fn port(field: &str, value: u32) -> Result<u16, DecodeError> {
    number(field, value, &(1..=u16::MAX))
}

pub(super) fn number(
    field: &str,
    value: u32,
    allowed: &RangeInclusive<u16>,
) -> Result<u16, DecodeError> {
    u16::try_from(value)
        .ok()
        .filter(|value| allowed.contains(value))
        .ok_or_else(|| {
            let (from, to) = (allowed.start(), allowed.end());
            DecodeError::invalid(field, format_args!("{value} is not in {from} to {to}"))
        })
}

/// An enum value of this build. The caller decides what an unspecified one means.
pub(super) fn known<E: TryFrom<i32>>(field: &str, value: i32) -> Result<E, DecodeError> {
    E::try_from(value).map_err(|_unit| DecodeError::unsupported(field, value))
}

pub(super) fn unspecified(field: &str) -> DecodeError {
    DecodeError::invalid(field, "unspecified")
}

pub(super) fn protocol(field: &str, value: i32) -> Result<Protocol, DecodeError> {
    match known(field, value)? {
        v1::Protocol::Tcp => Ok(Protocol::Tcp),
        v1::Protocol::Udp => Ok(Protocol::Udp),
        v1::Protocol::Sctp => Ok(Protocol::Sctp),
        v1::Protocol::Unspecified => Err(unspecified(field)),
    }
}

pub(super) fn family(field: &str, value: i32) -> Result<AddressFamily, DecodeError> {
    match known(field, value)? {
        v1::AddressFamily::Ipv4 => Ok(AddressFamily::Ipv4),
        v1::AddressFamily::Ipv6 => Ok(AddressFamily::Ipv6),
        v1::AddressFamily::Unspecified => Err(unspecified(field)),
    }
}

pub(super) fn name(field: &str, value: &str) -> Result<Name, DecodeError> {
    Name::new(value).map_err(|error| DecodeError::invalid(field, error))
}

/// The name of a Kubernetes object: one segment of a resource name.
pub(super) fn object_name(field: &str, value: String) -> Result<String, DecodeError> {
    Name::check(&value).map_err(|error| DecodeError::invalid(field, error))?;
    if value.contains('/') {
        return Err(DecodeError::invalid(
            field,
            format_args!("{value:?} contains a slash"),
        ));
    }
    Ok(value)
}

/// A resource's name, where empty stands for none.
pub(super) fn optional_name(field: &str, value: &str) -> Result<Option<Name>, DecodeError> {
    match value {
        "" => Ok(None),
        value => name(field, value).map(Some),
    }
}

/// Milliseconds or another number, where 0 stands for none.
pub(super) fn optional_number(value: u32) -> Option<u32> {
    (value > 0).then_some(value)
}

/// A text, where empty stands for none.
pub(super) fn optional(value: String) -> Option<String> {
    (!value.is_empty()).then_some(value)
}

pub(super) fn not_empty(field: &str, value: String) -> Result<String, DecodeError> {
    if value.is_empty() {
        return Err(DecodeError::invalid(field, "empty"));
    }
    Ok(value)
}

fn all_parsed<T: FromStr>(
    field: &str,
    values: &[String],
    what: &str,
) -> Result<Vec<T>, DecodeError> {
    values
        .iter()
        .enumerate()
        .map(|(index, value)| {
            value
                .parse()
                .map_err(|_unhelpful| not_a(&format!("{field}[{index}]"), value, what))
        })
        .collect()
}

fn not_a(field: &str, value: &str, what: &str) -> DecodeError {
    DecodeError::invalid(field, format_args!("{value:?} is not {what}"))
}

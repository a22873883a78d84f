//! Keys and data: plain bytes, what they mean, and verdicts.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::Name;

/// Bytes of a key, of data, or of a constant in a rule: 1 to 64 of them.
///
/// ```
/// use std::net::Ipv4Addr;
/// use meshlite_nft::{Field, Value};
/// let vip = Value::concat(&[Field::from(Ipv4Addr::new(10, 96, 0, 10)), Field::Protocol(17), Field::Port(53)]);
/// assert_eq!(vip.as_bytes(), [10, 96, 0, 10, 17, 0, 0, 0, 0, 53, 0, 0]);
/// assert_eq!(Value::from(Field::Port(53)).as_bytes(), [0, 53]);
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(Box<[u8]>);

/// Why bytes are no [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value has 1 to {max} bytes, not {0}", max = Value::MAX)]
pub struct InvalidValue(pub usize);

/// One part of a key or of data, as the kernel's expressions load it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// A transport protocol, by its IANA number.
    Protocol(u8),
    /// A port.
    Port(u16),
    /// A packet mark, a generated number, an interface index: 32 bits in the machine's own order.
    Mark(u32),
}

/// What a set's keys or a map's data are: `nft`'s number for it, and bytes. The kernel checks the bytes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Type {
    pub(crate) number: u32,
    pub(crate) length: u32,
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// This base chain lets it pass; others of the hook see it still.
    Accept,
    /// It is gone.
    Drop,
    /// The next expression of the rule.
    Continue,
    /// The next rule.
    Break,
    /// Back to the rule after the jump; at the end of a base chain its policy decides.
    Return,
    /// To another chain, and back at its end.
    Jump(Name),
    /// To another chain, not to come back.
    Goto(Name),
}

/// What a map has for a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Data {
    /// Bytes, for a register.
    Value(Value),
    /// A verdict, at once.
    Verdict(Verdict),
}

/// Parts of a concatenation begin at multiples of this, in bytes.
const WORD: usize = 4;

// === impl Value ===

impl Value {
    /// The longest, in bytes: `NFT_DATA_VALUE_MAXLEN`.
    pub const MAX: usize = 64;

    /// Bytes as they are.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Result<Self, InvalidValue> {
        let bytes = bytes.into();
        if bytes.is_empty() || bytes.len() > Self::MAX {
            return Err(InvalidValue(bytes.len()));
        }
        Ok(Self(bytes))
    }

    /// One to four fields one after the other, each padded to whole 32-bit words.
    pub fn concat<const N: usize>(fields: &[Field; N]) -> Self {
        const { assert!(N > 0 && N <= 4, "1 to 4 fields, 16 bytes at most each") }
        let mut bytes = [0; Self::MAX];
        let mut length = 0;
        for field in fields {
            length += field.write(&mut bytes[length..]).next_multiple_of(WORD);
        }
        Self(bytes[..length].into())
    }

    /// A `u32` in the machine's own order: marks, connection states, results of `fib`.
    pub fn native(number: u32) -> Self {
        Self(Box::new(number.to_ne_bytes()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The number of bytes as the kernel's attributes have it.
    pub(crate) fn length(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

impl From<Field> for Value {
    fn from(field: Field) -> Self {
        let mut bytes = [0; Self::MAX];
        let length = field.write(&mut bytes);
        Self(bytes[..length].into())
    }
}

/// In hexadecimal digits.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

// === impl Field ===

impl Field {
    /// Writes it where these bytes begin. Says how many it has.
    fn write(self, to: &mut [u8]) -> usize {
        fn copy<const N: usize>(bytes: [u8; N], to: &mut [u8]) -> usize {
            to[..N].copy_from_slice(&bytes);
            N
        }
        match self {
            Self::Ipv4(address) => copy(address.octets(), to),
            Self::Ipv6(address) => copy(address.octets(), to),
            Self::Protocol(protocol) => copy([protocol], to),
            Self::Port(port) => copy(port.to_be_bytes(), to),
            Self::Mark(mark) => copy(mark.to_ne_bytes(), to),
        }
    }
}

impl From<Ipv4Addr> for Field {
    fn from(address: Ipv4Addr) -> Self {
        Self::Ipv4(address)
    }
}

impl From<Ipv6Addr> for Field {
    fn from(address: Ipv6Addr) -> Self {
        Self::Ipv6(address)
    }
}

impl From<IpAddr> for Field {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Ipv4(address),
            IpAddr::V6(address) => Self::Ipv6(address),
        }
    }
}

// === impl Type ===

/// Bits of a field's number in a concatenation's: `TYPE_BITS` of `nft`.
const TYPE_BITS: u32 = 6;

impl Type {
    /// `ipv4_addr`.
    pub const IPV4: Self = Self::new(7, 4);
    /// `ipv6_addr`.
    pub const IPV6: Self = Self::new(8, 16);
    /// `inet_proto`.
    pub const PROTOCOL: Self = Self::new(12, 1);
    /// `inet_service`.
    pub const PORT: Self = Self::new(13, 2);
    /// `mark`: also for generated numbers, which `nft` then prints in hexadecimal digits.
    pub const MARK: Self = Self::new(19, 4);

    const fn new(number: u32, length: u32) -> Self {
        Self { number, length }
    }

    /// The address type of a family.
    pub const fn address(is_ipv6: bool) -> Self {
        if is_ipv6 { Self::IPV6 } else { Self::IPV4 }
    }

    /// A type by `nft`'s number and its bytes, for what is not here.
    pub const fn from_number(number: u32, length: u32) -> Self {
        Self::new(number, length)
    }

    /// Several fields in a row. `nft` has room for five in a number.
    pub const fn concat<const N: usize>(fields: [Self; N]) -> Self {
        const { assert!(N > 0 && N <= 5, "1 to 5 fields") }
        let mut all = Self::new(0, 0);
        let mut next = 0;
        while next < N {
            all.number = (all.number << TYPE_BITS) | fields[next].number;
            all.length += fields[next].length.next_multiple_of(4);
            next += 1;
        }
        all
    }

    /// `nft`'s number.
    pub const fn number(self) -> u32 {
        self.number
    }

    /// Bytes of a value.
    pub const fn length(self) -> u32 {
        self.length
    }

    /// Bytes of each field of a concatenation, unpadded; `None` where a field is not one of the constants here.
    pub(crate) fn fields(self) -> Option<Vec<u32>> {
        let known = [
            Self::IPV4,
            Self::IPV6,
            Self::PROTOCOL,
            Self::PORT,
            Self::MARK,
        ];
        let groups = (0..5)
            .rev()
            .map(|place| (self.number >> (place * TYPE_BITS)) & 0x3f);
        groups
            .skip_while(|number| *number == 0)
            .map(|number| known.iter().find(|t| t.number == number).map(|t| t.length))
            .collect()
    }
}

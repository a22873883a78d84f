//! Names: the table, and its sets for each family, audience and kind of place.

use std::{fmt, time::Duration};

use meshlite_nft::{DataType, Family, Name, Set, SetFlags, SetKey, TableKey, Type, UserData};
use meshlite_snapshot::AddressFamily;

use crate::table::Audience;

/// The families, in the order of their rules.
pub(crate) const FAMILIES: [AddressFamily; 2] = [AddressFamily::Ipv4, AddressFamily::Ipv6];
/// The audiences, the narrower one first: it wins.
pub(crate) const AUDIENCES: [Audience; 2] = [Audience::Inside, Audience::Everyone];

/// How the destination of a packet is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// As it is.
    Vip,
    /// As the unspecified address, which stands for every address of this node.
    Node,
}

/// One of the table's sets or maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SetId {
    /// What it is for.
    pub(crate) name: &'static str,
    /// Whose addresses it has.
    pub(crate) family: AddressFamily,
    /// Whose virtual servers it has. Sets that have all clients' are [`Audience::Everyone`]'s.
    pub(crate) audience: Audience,
    /// Where its virtual servers are; [`Place::Vip`] for sets that have both.
    pub(crate) place: Place,
}

/// Of which there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// One for each family.
    Families,
    /// One for each family and audience.
    Audiences,
    /// One for each family, audience and place.
    Places,
}

/// What sets of one name are like.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Their name, up to the family.
    pub(crate) name: &'static str,
    /// What it is for, in words.
    pub(crate) purpose: &'static str,
    /// Of which there are several.
    pub(crate) spread: Spread,
    /// The type of keys for IPv6 (true) and IPv4.
    pub(crate) key: fn(bool) -> Type,
    /// What it maps to.
    pub(crate) data: Maps,
    /// What elements are like.
    pub(crate) elements: Elements,
}

/// What a map maps to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Maps {
    /// Nothing: it is a set.
    Nothing,
    /// Values of this type, for IPv6 (true) and IPv4.
    To(fn(bool) -> Type),
    /// Verdicts.
    ToVerdicts,
}

/// What the elements of a set are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elements {
    /// Single keys.
    Keys,
    /// Ranges of keys.
    Ranges,
    /// Added by rules, for a while each, and no more of them than this.
    Learned(u32),
}

/// How long rules keep what they add without saying for how long.
const LEARNED: Duration = Duration::from_mins(1);

/// The table. There is one for both families, and nobody else's rules are in it.
pub(crate) fn table() -> TableKey {
    TableKey {
        family: Family::Inet,
        name: name("meshlite"),
    }
}

/// A name that is known to be one.
#[expect(clippy::expect_used, reason = "all names are written here, and short")]
pub(crate) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// `ip` or `ip6`, as nftables calls families.
pub(crate) const fn family_name(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Ipv4 => "ip",
        AddressFamily::Ipv6 => "ip6",
    }
}

pub(crate) fn is_ipv6(family: AddressFamily) -> bool {
    family == AddressFamily::Ipv6
}

// === impl SetId ===

impl SetId {
    /// The one for all clients and places of a family.
    pub(crate) const fn of(name: &'static str, family: AddressFamily) -> Self {
        Self {
            name,
            family,
            audience: Audience::Everyone,
            place: Place::Vip,
        }
    }

    /// The one for an audience of a family.
    pub(crate) const fn for_audience(
        name: &'static str,
        family: AddressFamily,
        audience: Audience,
    ) -> Self {
        Self {
            audience,
            ..Self::of(name, family)
        }
    }

    pub(crate) fn key(&self) -> SetKey {
        table().set(self.text())
    }

    /// Its name.
    pub(crate) fn text(&self) -> Name {
        name(&self.to_string())
    }
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, family, .. } = self;
        write!(
            f,
            "{name}{}-{}",
            Suffix(self.audience, self.place),
            family_name(*family)
        )
    }
}

/// What tells sets and chains for some clients and places from those for all.
pub(crate) struct Suffix(pub(crate) Audience, pub(crate) Place);

impl fmt::Display for Suffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 == Place::Node {
            f.write_str("-node")?;
        }
        if self.0 == Audience::Inside {
            f.write_str("-inside")?;
        }
        Ok(())
    }
}

// === impl Shape ===

impl Shape {
    /// All sets of this shape.
    pub(crate) fn ids(&self) -> Vec<SetId> {
        let audiences = match self.spread {
            Spread::Families => &[Audience::Everyone][..],
            Spread::Audiences | Spread::Places => &AUDIENCES,
        };
        let places = match self.spread {
            Spread::Families | Spread::Audiences => &[Place::Vip][..],
            Spread::Places => &[Place::Vip, Place::Node],
        };
        let mut ids = Vec::new();
        for family in FAMILIES {
            for &audience in audiences {
                for &place in places {
                    ids.push(SetId {
                        name: self.name,
                        family,
                        audience,
                        place,
                    });
                }
            }
        }
        ids
    }

    /// A set of it, as the kernel is to have it.
    pub(crate) fn set(&self, id: SetId) -> Set {
        let is_ipv6 = is_ipv6(id.family);
        let key_type = (self.key)(is_ipv6);
        let (flags, timeout, size) = match self.elements {
            Elements::Keys => (SetFlags::empty(), None, None),
            Elements::Ranges => (SetFlags::INTERVAL, None, None),
            Elements::Learned(size) => (
                SetFlags::TIMEOUT | SetFlags::DYNAMIC,
                Some(LEARNED),
                Some(size),
            ),
        };
        let data_type = match self.data {
            Maps::Nothing => None,
            Maps::To(data) => Some(DataType::Value(data(is_ipv6))),
            Maps::ToVerdicts => Some(DataType::Verdict),
        };
        let is_mark = |kind: Option<Type>| kind.is_some_and(|kind| kind == Type::MARK);
        let mut user_data = UserData::default();
        if is_mark(Some(key_type)) {
            user_data = user_data.and_native_keys();
        }
        if let Some(DataType::Value(data)) = data_type
            && is_mark(Some(data))
        {
            user_data = user_data.and_native_data();
        }
        Set {
            key: id.key(),
            key_type,
            data_type,
            flags,
            timeout,
            size,
            user_data,
        }
    }
}

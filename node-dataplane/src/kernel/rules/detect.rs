//! Who is inside, and who is a Pod: networks in sets, interfaces in rules.

use std::{collections::BTreeSet, sync::Arc};

use ipnet::IpNet;
use meshlite_nft::{Comparison, Expression, MetaKey, Type, UserData, Value};
use meshlite_snapshot::AddressFamily;

use super::{
    entry::Placed,
    name::{Elements, FAMILIES, Maps, SetId, Shape, Spread},
    networks,
    steps::{load_source, look_up, word},
};
use crate::table::LocalDetector;

/// Clients who are inside.
pub(crate) const INSIDE: &str = "inside";
/// Those of them that are Pods.
pub(crate) const PODS: &str = "pods";

pub(super) const SHAPES: [Shape; 2] = [
    Shape {
        name: INSIDE,
        purpose: "clients inside: this node and Pods",
        spread: Spread::Families,
        key: Type::address,
        data: Maps::Nothing,
        elements: Elements::Ranges,
    },
    Shape {
        name: PODS,
        purpose: "Pods, which need not be masqueraded",
        spread: Spread::Families,
        key: Type::address,
        data: Maps::Nothing,
        elements: Elements::Ranges,
    },
];

/// Clients inside, and which of them are Pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clients {
    /// As [`crate::table::Table::inside`].
    pub(crate) inside: Arc<BTreeSet<IpNet>>,
    /// As [`crate::table::Table::pods`].
    pub(crate) pods: LocalDetector,
}

/// How Pods are told from others: what rules depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Detector {
    /// Not at all.
    #[default]
    None,
    /// By address, in these families.
    Networks { ipv4: bool, ipv6: bool },
    /// By where they come in.
    Interface(Arc<str>),
    /// By how the name of it begins.
    Prefix(Arc<str>),
}

/// The longest name of an interface, in bytes, with the NUL that ends it.
const INTERFACE: usize = 16;

impl Clients {
    pub(crate) fn detector(&self) -> Detector {
        match &self.pods {
            LocalDetector::None => Detector::None,
            LocalDetector::Cidrs(networks) => {
                let has = |family| networks::of_family(networks, family).next().is_some();
                Detector::Networks {
                    ipv4: has(AddressFamily::Ipv4),
                    ipv6: has(AddressFamily::Ipv6),
                }
            }
            LocalDetector::Interface(name) => Detector::Interface(Arc::clone(name)),
            LocalDetector::InterfacePrefix(prefix) => Detector::Prefix(Arc::clone(prefix)),
        }
    }

    /// Its elements.
    pub(crate) fn elements(&self) -> Vec<Placed> {
        let none = BTreeSet::new();
        let pods = match &self.pods {
            LocalDetector::Cidrs(networks) => networks.as_ref(),
            _ => &none,
        };
        let mut placed = Vec::new();
        for family in FAMILIES {
            for (name, networks) in [(INSIDE, self.inside.as_ref()), (PODS, pods)] {
                let set = SetId::of(name, family);
                let elements = networks::elements(networks, family);
                placed.extend(elements.into_iter().map(|element| Placed { set, element }));
            }
        }
        placed
    }

    /// Reads them back. `None` where they make no sense.
    pub(crate) fn read(detector: &Detector, placed: &[Placed]) -> Option<Self> {
        let networks = |name| {
            let mut all = BTreeSet::new();
            for family in FAMILIES {
                let set = SetId::of(name, family);
                let here = placed.iter().filter(|placed| placed.set == set);
                let here: Vec<_> = here.map(|placed| placed.element.clone()).collect();
                all.extend(networks::read(&here, family)?);
            }
            Some(Arc::new(all))
        };
        let pods = networks(PODS)?;
        Some(Self {
            inside: networks(INSIDE)?,
            pods: match detector {
                Detector::None => LocalDetector::None,
                Detector::Networks { .. } => LocalDetector::Cidrs(pods),
                Detector::Interface(name) => LocalDetector::Interface(Arc::clone(name)),
                Detector::Prefix(prefix) => LocalDetector::InterfacePrefix(Arc::clone(prefix)),
            },
        })
    }
}

impl Detector {
    /// Ends a rule unless the packet is a Pod's; or is not one's. `None`: nobody is.
    pub(crate) fn is_pod(&self, family: AddressFamily, yes: bool) -> Option<Vec<Expression>> {
        const AT: u8 = 0;
        let interface = |name: &[u8]| {
            let load = Expression::Meta {
                key: MetaKey::InputInterfaceName,
                to: word(AT),
            };
            let compare = Expression::Compare {
                comparison: if yes {
                    Comparison::Equal
                } else {
                    Comparison::NotEqual
                },
                register: word(AT),
                value: Value::new(name).ok()?,
            };
            Some(vec![load, compare])
        };
        match self {
            Self::None => None,
            Self::Networks { ipv4, ipv6 } => {
                let is_there = match family {
                    AddressFamily::Ipv4 => ipv4,
                    AddressFamily::Ipv6 => ipv6,
                };
                let then = if yes {
                    meshlite_nft::Lookup::Contains
                } else {
                    meshlite_nft::Lookup::Lacks
                };
                let steps = || {
                    vec![
                        load_source(family, AT),
                        look_up(SetId::of(PODS, family), AT, then),
                    ]
                };
                is_there.then(steps)
            }
            Self::Interface(name) => {
                let mut name = name.as_bytes().to_vec();
                name.resize(INTERFACE, 0);
                interface(&name)
            }
            Self::Prefix(prefix) => interface(prefix.as_bytes()),
        }
    }

    /// Ends a rule unless the packet came in where only Pods are. `None`: no interface says so.
    pub(crate) fn came_from_pod(&self, family: AddressFamily) -> Option<Vec<Expression>> {
        match self {
            Self::None | Self::Networks { .. } => None,
            Self::Interface(_) | Self::Prefix(_) => self.is_pod(family, true),
        }
    }

    /// As the table's comment, by which it is known again.
    pub(crate) fn comment(&self) -> UserData {
        UserData::comment(&self.text())
    }

    fn text(&self) -> String {
        match self {
            Self::None => "Meshlite; no Pods are known".to_owned(),
            Self::Networks { ipv4, ipv6 } => {
                let family = |is: bool, name| if is { name } else { "" };
                format!(
                    "Meshlite; Pods by network{}{}",
                    family(*ipv4, " ip"),
                    family(*ipv6, " ip6")
                )
            }
            Self::Interface(name) => format!("Meshlite; Pods by interface {name}"),
            Self::Prefix(prefix) => format!("Meshlite; Pods by interface prefix {prefix}"),
        }
    }

    /// That of a table with this comment.
    pub(crate) fn of_comment(comment: &UserData) -> Option<Self> {
        let fixed = [
            Self::None,
            Self::networks(false, false),
            Self::networks(true, false),
            Self::networks(false, true),
            Self::networks(true, true),
        ];
        if let Some(known) = fixed.into_iter().find(|it| it.comment() == *comment) {
            return Some(known);
        }
        let text = comment.as_bytes().get(2..)?.strip_suffix(&[0])?;
        let text = std::str::from_utf8(text).ok()?;
        let rest = text.strip_prefix("Meshlite; Pods by interface ")?;
        let known = match rest.strip_prefix("prefix ") {
            Some(prefix) => Self::Prefix(prefix.into()),
            None => Self::Interface(rest.into()),
        };
        (known.comment() == *comment).then_some(known)
    }

    const fn networks(ipv4: bool, ipv6: bool) -> Self {
        Self::Networks { ipv4, ipv6 }
    }
}

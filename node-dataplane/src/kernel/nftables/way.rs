//! Ways from a place to a real server: one chain for each number of slots, and of seconds that clients stay.

use std::time::Duration;

use meshlite_nft::{
    Data, DynsetOperation, Element, Expression, Field, Lookup, NatFlags, NatKind, NumgenKind,
    Verdict,
};
use meshlite_snapshot::AddressFamily;

use super::maps::{CHOICES, CLIENTS, GROUPS, MEMBERS, SLOTS, WAYS, check_name};
use crate::{
    kernel::rules::{
        Branch, Placed,
        chains::{masquerade::NODE_ADDRESSES, regular},
        name::{AUDIENCES, FAMILIES, Place, SetId, Suffix, family_name, name},
        steps::{
            FOUND, address_words, after_vip, is_family, jump, load_destination, load_node_place,
            load_source, load_vip, look_up, look_up_number, nft_family, word,
        },
    },
    table::Audience,
};

/// A way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Way {
    pub(super) family: AddressFamily,
    pub(super) audience: Audience,
    pub(super) place: Place,
    /// Not all clients may go it, or not all of them this one.
    pub(super) is_checked: bool,
    pub(super) kind: Kind,
}

/// How a real server is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Any of so many slots, anew for each connection.
    Any { slots: u32 },
    /// The one that the client had within so many seconds, or any of so many slots.
    Same { slots: u32, seconds: u32 },
}

/// Bits for slots in the number of [`Kind::Same`].
const SLOT_BITS: u32 = 13;
const SECOND_BITS: u32 = 17;
const CHECKED: u32 = 1 << 30;
const SAME: u32 = 1 << 31;

impl Kind {
    /// Most slots where clients stay.
    pub(super) const MOST_SAME: u32 = (1 << SLOT_BITS) - 1;
    /// Most slots where they do not.
    pub(super) const MOST_ANY: u32 = (1 << 20) - 1;
    /// Longest that clients stay, in seconds: Kubernetes allows 86,400.
    const MOST_SECONDS: u32 = (1 << SECOND_BITS) - 1;

    /// Where clients stay, for so long.
    pub(super) fn same(slots: u32, seconds: u32) -> Self {
        Self::Same {
            slots,
            seconds: seconds.clamp(1, Self::MOST_SECONDS),
        }
    }

    const fn number(self) -> u32 {
        match self {
            Self::Any { slots } => slots,
            Self::Same { slots, seconds } => SAME | (seconds << SLOT_BITS) | slots,
        }
    }
}

impl Way {
    /// One of each kind, with all that a way may have.
    pub(super) const SAMPLES: [Self; 2] = [
        Self {
            family: AddressFamily::Ipv4,
            audience: Audience::Inside,
            place: Place::Node,
            is_checked: false,
            kind: Kind::Any { slots: 1 },
        },
        Self {
            family: AddressFamily::Ipv6,
            audience: Audience::Everyone,
            place: Place::Vip,
            is_checked: true,
            kind: Kind::Same {
                slots: 2,
                seconds: 1,
            },
        },
    ];

    /// The number that maps have for it: never 0.
    pub(super) const fn number(self) -> u32 {
        let checked = if self.is_checked { CHECKED } else { 0 };
        self.kind.number() | checked
    }

    /// Its chain, and what leads there.
    pub(super) fn branch(self) -> Branch {
        let Self {
            family,
            audience,
            place,
            is_checked,
            kind,
        } = self;
        let mut rules = Vec::new();
        if is_checked {
            rules.push(vec![jump(&check_name(family, audience, place))]);
        }
        if place == Place::Node {
            rules.push(learn_address(family));
        }
        match kind {
            Kind::Any { slots } => rules.push(self.any(slots)),
            Kind::Same { slots, seconds } => {
                let timeout = Duration::from_secs(seconds.into());
                rules.extend([
                    self.known(timeout),
                    self.unknown(slots, Some(timeout)),
                    // There is no room to remember more clients.
                    self.unknown(slots, None),
                ]);
            }
        }
        let chain = self.chain_name();
        let set = SetId {
            name: WAYS,
            family,
            audience,
            place,
        };
        // Whoever finds no slot comes back, and is told the number that there is now.
        let go = Data::Verdict(Verdict::Jump(name(&chain)));
        let element = Element::mapping(Field::Mark(self.number()).into(), go);
        Branch {
            chain: regular(chain, rules),
            way: Placed { set, element },
        }
    }

    fn chain_name(self) -> String {
        let start = self.start();
        match self.kind {
            Kind::Any { slots } => format!("{start}-{slots}"),
            Kind::Same { slots, seconds } => format!("{start}-{slots}-{seconds}"),
        }
    }

    fn start(self) -> String {
        let kind = match self.kind {
            Kind::Any { .. } => "any",
            Kind::Same { .. } => "same",
        };
        format!(
            "{}{kind}{}-{}",
            if self.is_checked { "checked-" } else { "" },
            Suffix(self.audience, self.place),
            family_name(self.family)
        )
    }

    /// The way whose chain has this name.
    pub(super) fn named(text: &str) -> Option<Self> {
        let is_checked = text.starts_with("checked-");
        let kinds = Self::kinds_named(text);
        let families = FAMILIES.into_iter();
        let sets = families.flat_map(|family| AUDIENCES.map(|audience| (family, audience)));
        let places = sets.flat_map(|set| [Place::Vip, Place::Node].map(|place| (set, place)));
        let mut ways = places.flat_map(|((family, audience), place)| {
            let kinds = kinds.iter().copied();
            kinds.map(move |kind| Self {
                family,
                audience,
                place,
                is_checked,
                kind,
            })
        });
        ways.find(|way| way.chain_name() == text)
    }

    /// Kinds of which the way may be whose chain has this name: it ends in their numbers.
    fn kinds_named(text: &str) -> Vec<Kind> {
        let mut numbers = text.rsplit('-').map_while(|word| word.parse().ok());
        let Some(last) = numbers.next() else {
            return Vec::new();
        };
        let any = Kind::Any { slots: last };
        let same = numbers.next().map(|slots| Kind::Same {
            slots,
            seconds: last,
        });
        [any].into_iter().chain(same).collect()
    }

    fn set(self, name: &'static str) -> SetId {
        SetId::for_audience(name, self.family, self.audience)
    }

    fn load_place(self) -> Vec<Expression> {
        match self.place {
            Place::Vip => load_vip(self.family),
            Place::Node => load_node_place(self.family),
        }
    }

    fn any(self, slots: u32) -> Vec<Expression> {
        let mut steps = self.load_place();
        steps.push(self.random(slots));
        steps.push(look_up(self.set(SLOTS), 0, Lookup::Load(word(FOUND))));
        steps.push(self.translate(FOUND));
        steps
    }

    /// Clients that were here go where they were, if that is still a real server.
    fn known(self, timeout: Duration) -> Vec<Expression> {
        let number = after_vip(self.family);
        let clients = SetId::of(CLIENTS, self.family);
        let mut steps = self.load_client();
        steps.extend(look_up_number(clients, FOUND, number));
        steps.push(look_up(self.set(MEMBERS), 0, Lookup::Load(word(0))));
        steps.push(self.remember(DynsetOperation::Update, number, Some(timeout)));
        steps.push(self.translate(0));
        steps
    }

    /// Others go anywhere, and may be remembered.
    fn unknown(self, slots: u32, timeout: Option<Duration>) -> Vec<Expression> {
        let number = after_vip(self.family);
        let mut steps = self.load_client();
        if timeout.is_some() {
            // What is remembered already is of no use any more, and is not replaced by what is added.
            steps.push(self.remember(DynsetOperation::Delete, FOUND, None));
        }
        steps.push(self.random(slots));
        steps.extend(look_up_number(self.set(CHOICES), 0, number));
        if timeout.is_some() {
            steps.push(self.remember(DynsetOperation::Add, number, timeout));
        }
        steps.push(look_up(self.set(MEMBERS), 0, Lookup::Load(word(0))));
        steps.push(self.translate(0));
        steps
    }

    /// Loads the place, and behind it the Service port and who asks: by that clients are known.
    fn load_client(self) -> Vec<Expression> {
        let mut steps = self.load_place();
        steps.extend(look_up_number(self.set(GROUPS), 0, FOUND));
        steps.push(load_source(self.family, FOUND + 1));
        steps
    }

    fn remember(
        self,
        operation: DynsetOperation,
        number: u8,
        timeout: Option<Duration>,
    ) -> Expression {
        Expression::Dynset {
            set: SetId::of(CLIENTS, self.family).text(),
            operation,
            key: word(FOUND),
            data: Some(word(number)),
            timeout,
        }
    }

    fn random(self, slots: u32) -> Expression {
        Expression::Numgen {
            kind: NumgenKind::Random,
            modulus: slots,
            offset: 0,
            to: word(after_vip(self.family)),
        }
    }

    /// Goes to the endpoint that begins at a word.
    fn translate(self, at: u8) -> Expression {
        Expression::Nat {
            kind: NatKind::Destination,
            family: nft_family(self.family),
            address: Some(word(at)),
            port: Some(word(at + address_words(self.family))),
            flags: NatFlags::empty(),
        }
    }
}

/// Notes which address of this node was asked: after translation only the connection tells, and by that alone nobody
/// knows that the address is this node's.
fn learn_address(family: AddressFamily) -> Vec<Expression> {
    let mut steps = is_family(family);
    steps.push(load_destination(family, 0));
    steps.push(Expression::Dynset {
        set: SetId::of(NODE_ADDRESSES, family).text(),
        operation: DynsetOperation::Update,
        key: word(0),
        data: None,
        timeout: None,
    });
    steps
}

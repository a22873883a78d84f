//! A load balancer as flat maps: however many services there are, a packet meets a handful of rules and two look-ups.
//!
//! ```text
//! prerouting, output ── vips: address . protocol . port ──> K, the number of endpoints ── kinds: K ──> goto endpoints-K
//!   endpoints-K ── endpoints: address . protocol . port . random number mod K ──> dnat to address . port
//! ```
//!
//! A service is one element of `vips` and one of `endpoints` for each of its endpoints; nothing else changes with it.
//! That `vips` has numbers and no verdicts is on purpose: a new element that leads to a chain makes the kernel look for
//! loops in the whole table, all elements included.

use std::{collections::BTreeSet, net::Ipv4Addr, time::Duration};

use meshlite_nft::{
    Base, Chain, ChainKind, Data, DynsetOperation, Element, Expression, Family, Field, Hook, Icmpx,
    Lookup, MetaKey, Name, NatFlags, NumgenKind, Policy, Reject, Rule, Set, SetFlags, SetKey,
    Table, TableKey, Transaction, Type, UserData, Value, Verdict,
};

use super::{
    service::{Service, allowed, kind, slot_element, slot_key, slots, text, vip},
    steps::{contains, is_ipv4, load_vip, translate, word},
};

/// How long a client that is silent stays with its endpoint.
const STICKY: Duration = Duration::from_hours(3);
/// How many clients may stay with their endpoints at a time.
const STICKY_CLIENTS: u32 = 65_536;

const VIP: Type = Type::concat([Type::IPV4, Type::PROTOCOL, Type::PORT]);
const SLOT: Type = Type::concat([Type::IPV4, Type::PROTOCOL, Type::PORT, Type::MARK]);
const GUARD: Type = Type::concat([Type::IPV4, Type::PROTOCOL, Type::PORT, Type::IPV4]);
const ENDPOINT: Type = Type::concat([Type::IPV4, Type::PORT]);
const PAIR: Type = Type::concat([Type::IPV4, Type::IPV4]);

/// The names of one such load balancer.
#[derive(Clone, Debug)]
pub(crate) struct Flat {
    table: TableKey,
}

impl Flat {
    /// Under the name of a table of the family inet.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            table: TableKey {
                family: Family::Inet,
                name: text(name),
            },
        }
    }

    /// Its table.
    pub(crate) fn table(&self) -> &TableKey {
        &self.table
    }

    /// One of its sets: `vips`, `kinds`, `endpoints`, `refused`, `guarded`, `allowed`, `hairpins`, `slots`, `clients-N`.
    pub(crate) fn set(&self, name: &str) -> SetKey {
        self.table.set(text(name))
    }

    /// All of it, in place of whatever the table had.
    pub(crate) fn load(&self, services: &[Service]) -> Transaction {
        let mut transaction = Transaction::new();
        let table = Table {
            key: self.table.clone(),
            dormant: false,
            user_data: UserData::comment("flat maps"),
        };
        transaction.add_table(&table);
        transaction.delete_table(&table.key);
        transaction.add_table(&table);
        self.add_sets(&mut transaction);
        self.add_chains(&mut transaction);
        self.add_services(&mut transaction, services, &BTreeSet::new());
        transaction
    }

    /// Adds services to what is there. `known` are the chains for endpoints that are there already.
    pub(crate) fn add_services(
        &self,
        transaction: &mut Transaction,
        services: &[Service],
        known: &BTreeSet<(usize, bool)>,
    ) {
        let kinds: BTreeSet<_> = services.iter().map(kind).collect();
        let mut sticky_slots = known
            .iter()
            .filter(|(_, sticky)| *sticky)
            .map(|k| k.0)
            .max()
            .unwrap_or(0);
        for &(count, sticky) in kinds.difference(known).filter(|(count, _)| *count > 0) {
            if sticky {
                self.add_sticky_chain(transaction, count, sticky_slots);
                sticky_slots = sticky_slots.max(count);
            } else {
                self.add_endpoints_chain(transaction, count);
            }
            let go = Data::Verdict(Verdict::Goto(endpoints_chain((count, sticky))));
            let number = kind_number((count, sticky)).into();
            transaction.add_elements(&self.set("kinds"), [Element::mapping(number, go)]);
        }
        let slots = services.iter().flat_map(slots);
        transaction.add_elements(&self.set("endpoints"), slots);
        let hairpins: BTreeSet<_> = services
            .iter()
            .flat_map(|s| &s.endpoints)
            .map(|(address, _)| *address)
            .collect();
        let hairpins = hairpins
            .into_iter()
            .map(|address| Element::new(Value::concat(&[address.into(), address.into()])));
        transaction.add_elements(&self.set("hairpins"), hairpins);
        let (refused, served): (Vec<_>, Vec<_>) = services
            .iter()
            .partition(|service| service.endpoints.is_empty());
        let refused = refused
            .into_iter()
            .map(|service| Element::new(vip(service)));
        transaction.add_elements(&self.set("refused"), refused);
        let guarded = services.iter().filter(|service| service.sources.is_some());
        let guarded = guarded.map(|service| Element::new(vip(service)));
        transaction.add_elements(&self.set("guarded"), guarded);
        let allowed = services.iter().filter_map(allowed);
        transaction.add_elements(&self.set("allowed"), allowed);
        // Last, though it makes no difference: nobody sees one without the other.
        let vips = served.into_iter().map(|service| {
            Element::mapping(vip(service), Data::Value(kind_number(kind(service)).into()))
        });
        transaction.add_elements(&self.set("vips"), vips);
    }

    /// Puts another endpoint in the place of one: one element, which connections that are there do not notice.
    pub(crate) fn change_endpoint(
        &self,
        service: &Service,
        slot: u32,
        to: (Ipv4Addr, u16),
    ) -> Transaction {
        let mut transaction = Transaction::new();
        let set = self.set("endpoints");
        transaction.delete_elements(&set, [Element::new(slot_key(service, slot))]);
        transaction.add_elements(&set, [slot_element(service, slot, to)]);
        transaction
    }

    fn add_sets(&self, transaction: &mut Transaction) {
        let set = |name| self.set(name);
        let guard = Set {
            flags: SetFlags::INTERVAL,
            ..Set::new(set("allowed"), GUARD)
        };
        transaction.add_set(&Set {
            user_data: UserData::default().and_native_data(),
            ..Set::map(set("vips"), VIP, Type::MARK)
        });
        transaction.add_set(&Set {
            user_data: UserData::default().and_native_keys(),
            ..Set::verdict_map(set("kinds"), Type::MARK)
        });
        transaction.add_set(&Set::map(set("endpoints"), SLOT, ENDPOINT));
        transaction.add_set(&Set::new(set("refused"), VIP));
        transaction.add_set(&Set::new(set("guarded"), VIP));
        transaction.add_set(&guard);
        transaction.add_set(&Set::new(set("hairpins"), PAIR));
        transaction.add_set(&Set {
            user_data: UserData::default().and_native_keys(),
            ..Set::verdict_map(set("slots"), Type::MARK)
        });
    }

    fn add_chains(&self, transaction: &mut Transaction) {
        let mark = |to| Expression::Meta {
            key: MetaKey::Mark,
            to,
        };
        let set_mark = |from| Expression::SetMeta {
            key: MetaKey::Mark,
            from,
        };
        // The number goes by way of the packet's mark, which nobody sees meanwhile: `nft` aborts on listing a look-up of
        // what was looked up.
        let kind = vec![
            mark(word(8)),
            contains("vips", Lookup::Load(word(0))),
            set_mark(word(0)),
            mark(word(0)),
            set_mark(word(8)),
            contains("kinds", Lookup::Decide),
        ];
        let balance = [load_vip(), kind].concat();
        let reject = Expression::Reject(Reject::Icmpx(Icmpx::PortUnreachable));
        let refuse = [
            load_vip(),
            vec![contains("refused", Lookup::Contains), reject],
        ]
        .concat();
        let guard = [
            load_vip(),
            vec![
                contains("guarded", Lookup::Contains),
                Expression::source_address(false, word(3)),
                contains("allowed", Lookup::Lacks),
                Expression::COUNTER,
                Expression::Verdict(Verdict::Drop),
            ],
        ];
        let guard = guard.concat();
        let pair = vec![
            Expression::source_address(false, word(0)),
            Expression::destination_address(false, word(1)),
            contains("hairpins", Lookup::Contains),
            Expression::Masquerade {
                flags: NatFlags::FULLY_RANDOM,
            },
        ];
        let hairpin = [is_ipv4(), pair].concat();
        for (name, hook) in [("in", Hook::PREROUTING), ("out", Hook::OUTPUT)] {
            let base = |kind, priority| {
                Some(Base {
                    kind,
                    hook,
                    priority,
                    policy: Policy::Accept,
                })
            };
            let filter = [guard.clone(), refuse.clone()];
            self.add_chain(
                transaction,
                &format!("filter-{name}"),
                base(ChainKind::Filter, -110),
                filter,
            );
            self.add_chain(
                transaction,
                &format!("nat-{name}"),
                base(ChainKind::Nat, -100),
                [balance.clone()],
            );
        }
        let base = Base {
            kind: ChainKind::Nat,
            hook: Hook::POSTROUTING,
            priority: 100,
            policy: Policy::Accept,
        };
        self.add_chain(transaction, "nat-back", Some(base), [hairpin]);
    }

    /// The chain for services with so many endpoints.
    fn add_endpoints_chain(&self, transaction: &mut Transaction, count: usize) {
        let modulus = u32::try_from(count).unwrap_or(u32::MAX);
        let slot = Expression::Numgen {
            kind: NumgenKind::Random,
            modulus,
            offset: 0,
            to: word(3),
        };
        let rule = [load_vip(), vec![slot], translate()].concat();
        self.add_chain(
            transaction,
            endpoints_chain((count, false)).as_str(),
            None,
            [rule],
        );
    }

    /// The chain for services with so many endpoints whose clients stay, each with a slot: those it knows go on there,
    /// others at random. Slots up to `known` are there.
    fn add_sticky_chain(&self, transaction: &mut Transaction, count: usize, known: usize) {
        for slot in known..count {
            self.add_sticky_slot(transaction, slot);
        }
        let mut rules: Vec<_> = (0..count)
            .map(|slot| {
                let is_here = contains(&format!("clients-{slot}"), Lookup::Contains);
                let go = Expression::Verdict(Verdict::Goto(slot_chain(slot)));
                [
                    load_vip(),
                    vec![Expression::source_address(false, word(3)), is_here, go],
                ]
                .concat()
            })
            .collect();
        let modulus = u32::try_from(count).unwrap_or(u32::MAX);
        let slot = Expression::Numgen {
            kind: NumgenKind::Random,
            modulus,
            offset: 0,
            to: word(0),
        };
        rules.push(vec![slot, contains("slots", Lookup::Decide)]);
        self.add_chain(
            transaction,
            endpoints_chain((count, true)).as_str(),
            None,
            rules,
        );
    }

    /// Notes who was here, and goes to the endpoint of the slot.
    fn add_sticky_slot(&self, transaction: &mut Transaction, slot: usize) {
        let clients = self.set(&format!("clients-{slot}"));
        transaction.add_set(&Set {
            flags: SetFlags::TIMEOUT | SetFlags::DYNAMIC,
            timeout: Some(STICKY),
            size: Some(STICKY_CLIENTS),
            ..Set::new(clients.clone(), GUARD)
        });
        let remember = Expression::Dynset {
            set: clients.name,
            operation: DynsetOperation::Update,
            key: word(0),
            data: None,
            timeout: None,
        };
        let number = Field::Mark(u32::try_from(slot).unwrap_or(u32::MAX));
        let load_slot = Expression::Immediate {
            value: number.into(),
            to: word(3),
        };
        let rule = [
            load_vip(),
            vec![
                Expression::source_address(false, word(3)),
                remember,
                load_slot,
            ],
            translate(),
        ];
        let chain = slot_chain(slot);
        self.add_chain(transaction, chain.as_str(), None, [rule.concat()]);
        let go = Data::Verdict(Verdict::Goto(chain));
        transaction.add_elements(&self.set("slots"), [Element::mapping(number.into(), go)]);
    }

    fn add_chain(
        &self,
        transaction: &mut Transaction,
        name: &str,
        base: Option<Base>,
        rules: impl IntoIterator<Item = Vec<Expression>>,
    ) {
        let key = self.table.chain(text(name));
        let user_data = UserData::default();
        transaction.add_chain(&Chain {
            key: key.clone(),
            base,
            user_data: user_data.clone(),
        });
        for expressions in rules {
            let chain = key.clone();
            transaction.add_rule(&Rule {
                chain,
                expressions,
                user_data: user_data.clone(),
            });
        }
    }
}

/// What is added to the number of endpoints where clients stay: no service has so many.
const STICKY_KIND: u32 = 0x4000_0000;

fn endpoints_chain((count, sticky): (usize, bool)) -> Name {
    text(&format!(
        "{}-{count}",
        if sticky { "sticky" } else { "endpoints" }
    ))
}

/// What `vips` has for such services.
fn kind_number((count, sticky): (usize, bool)) -> Field {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    Field::Mark(if sticky { count | STICKY_KIND } else { count })
}

fn slot_chain(slot: usize) -> Name {
    text(&format!("slot-{slot}"))
}

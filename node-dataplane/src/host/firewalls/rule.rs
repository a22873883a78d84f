//! The rule that lets connections of Services pass a chain of somebody else's. Pure.
//!
//! It accepts packets of connections that were let in already, and first packets whose destination was translated, which
//! is what becomes of a connection to a Service before it is forwarded.

use meshlite_nft::{
    ChainKey, Comparison, ConntrackKey, ConntrackState, Expression, Family, Register, Rule,
    UserData, Value, Verdict,
};

/// What our rules are known by.
const COMMENT: &str = "meshlite: connections of Services";
/// That the destination was translated, among the bits of a connection's status (`IPS_DST_NAT`).
const IPS_DST_NAT: u32 = 1 << 5;

/// Bytes of `struct xt_conntrack_mtinfo3`, filled up to a multiple of 8.
const MATCH_BYTES: usize = 168;
/// Where in it `match_flags` is, and after `invert_flags` the `state_mask`; both have 16 bits.
const MATCH_FLAGS: usize = 146;
const STATE_MASK: usize = 150;
/// `XT_CONNTRACK_STATE`.
const MATCH_STATE: u16 = 1;
/// `XT_CONNTRACK_STATE_BIT` of established and related ones, and `XT_CONNTRACK_STATE_DNAT`.
const STATES: u16 = 1 << 1 | 1 << 2 | 1 << 7;

/// The rules for a chain, to be put at its end.
pub(super) fn accepts(chain: &ChainKey) -> Vec<Rule> {
    let tests = if is_of_iptables(chain) {
        vec![vec![as_iptables()]]
    } else {
        let known = (ConntrackState::ESTABLISHED | ConntrackState::RELATED).bits();
        vec![
            any_of(ConntrackKey::State, known),
            any_of(ConntrackKey::Status, IPS_DST_NAT),
        ]
    };
    let rule = |mut expressions: Vec<Expression>| {
        expressions.extend([Expression::COUNTER, Expression::Verdict(Verdict::Accept)]);
        Rule {
            chain: chain.clone(),
            expressions,
            user_data: UserData::comment(COMMENT),
        }
    };
    tests.into_iter().map(rule).collect()
}

/// Whether a rule is one of these.
pub(super) fn is_ours(rule: &Rule) -> bool {
    rule.user_data == UserData::comment(COMMENT)
}

/// Whether a chain is kept by `iptables-nft`, which can no longer list a table with a rule in it that it cannot read.
fn is_of_iptables(chain: &ChainKey) -> bool {
    let family = chain.table.family;
    matches!(family, Family::Ipv4 | Family::Ipv6)
        && chain.table.name.as_str() == "filter"
        && chain.name.as_str() == "FORWARD"
}

/// `-m conntrack --ctstate RELATED,ESTABLISHED,DNAT`.
#[expect(clippy::expect_used, reason = "it is a name")]
fn as_iptables() -> Expression {
    let mut info = [0; MATCH_BYTES];
    info[MATCH_FLAGS..][..2].copy_from_slice(&MATCH_STATE.to_ne_bytes());
    info[STATE_MASK..][..2].copy_from_slice(&STATES.to_ne_bytes());
    Expression::XtablesMatch {
        name: "conntrack".parse().expect("a name"),
        revision: 3,
        info: info.into(),
    }
}

/// Ends the rule unless a fact of the connection has one of these bits.
fn any_of(key: ConntrackKey, bits: u32) -> Vec<Expression> {
    let register = Register::word(0);
    vec![
        Expression::Conntrack {
            key,
            direction: None,
            to: register,
        },
        Expression::Bitwise {
            from: register,
            to: register,
            mask: Value::native(bits),
            flip: Value::native(0),
        },
        Expression::Compare {
            comparison: Comparison::NotEqual,
            register,
            value: Value::native(0),
        },
    ]
}

//! Other people's firewalls: chains that drop whatever they do not know of what this node forwards, and our answer to them.
//!
//! A packet must pass every table, so an accept in a table of ours is of no use against a drop in another. The answer is a
//! rule at the end of the very chain that drops by its policy: whatever its owner decides before that stands, and only the
//! policy is not reached by the connections of Services. The rule is known by its comment, and can be removed with it.

mod rule;
#[cfg(test)]
mod tests;

use std::fmt;

use meshlite_nft::{
    ChainEntry, ChainKey, ChainKind, Error, Failure, Family, Hook, Nftables, Policy, Rejected,
    TableKey, Transaction,
};

/// A chain that drops, by its policy, what this node forwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForwardDrop {
    /// Which.
    pub(crate) chain: ChainKey,
    /// Whether Docker is at home there.
    pub(crate) is_dockers: bool,
    /// Whether our answer is in it.
    pub(crate) is_open: bool,
}

/// Why other people's chains could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FirewallError {
    /// They could not be read.
    #[error("the chains of this node's firewalls cannot be read: {0}")]
    Unreadable(#[from] Error),
    /// A rule could not be added or removed.
    #[error("a rule for forwarded traffic of Services cannot be changed: {0}")]
    Unchanged(#[from] Rejected),
}

/// The chains that drop what this node forwards.
pub(crate) fn forward_drops(nftables: &mut Nftables) -> Result<Vec<ForwardDrop>, FirewallError> {
    let chains = nftables.chains()?;
    let dormant = nftables.tables()?.into_iter();
    let dormant: Vec<_> = dormant
        .filter(|entry| entry.table.dormant)
        .map(|entry| entry.table.key)
        .collect();
    let mut drops = dropping(&chains);
    drops.retain(|drop| !dormant.contains(&drop.chain.table));
    for drop in &mut drops {
        drop.is_open = !ours(nftables, &drop.chain)?.is_empty();
    }
    Ok(drops)
}

/// Adds our answer to each that has none. Gives those that were changed.
pub(crate) fn open(
    nftables: &mut Nftables,
    drops: &[ForwardDrop],
) -> Result<Vec<ChainKey>, FirewallError> {
    let mut changed = Vec::new();
    for ForwardDrop { chain, is_open, .. } in drops {
        if *is_open {
            continue;
        }
        let mut transaction = Transaction::new();
        for rule in rule::accepts(chain) {
            transaction.add_rule(&rule);
        }
        nftables.commit(&transaction)?;
        changed.push(chain.clone());
    }
    Ok(changed)
}

/// Removes our answers, wherever they are. Gives the chains that were changed.
pub(crate) fn close(nftables: &mut Nftables) -> Result<Vec<ChainKey>, FirewallError> {
    let mut changed = Vec::new();
    let chains = nftables.chains()?;
    // The policy may have changed since.
    for ChainEntry { chain, .. } in chains.iter().filter(|entry| filters_forward(entry)) {
        let handles = ours(nftables, &chain.key)?;
        if handles.is_empty() {
            continue;
        }
        let mut transaction = Transaction::new();
        for handle in handles {
            transaction.delete_rule(&chain.key, handle);
        }
        match nftables.commit(&transaction) {
            // Somebody removed it, or the chain, meanwhile.
            Err(Rejected {
                first:
                    Failure {
                        error: Error::NotThere(_),
                        ..
                    },
                ..
            }) => {}
            outcome => outcome?,
        }
        changed.push(chain.key.clone());
    }
    Ok(changed)
}

/// The handles of our rules in a chain.
fn ours(nftables: &mut Nftables, chain: &ChainKey) -> Result<Vec<u64>, Error> {
    let rules = nftables.rules(&chain.table)?.into_iter();
    let is_ours = |rule: &meshlite_nft::Rule| rule.chain == *chain && rule::is_ours(rule);
    Ok(rules
        .filter(|entry| is_ours(&entry.rule))
        .map(|entry| entry.handle)
        .collect())
}

/// Those of the chains that drop what is forwarded. Pure.
fn dropping(chains: &[ChainEntry]) -> Vec<ForwardDrop> {
    let is_dockers = |table: &TableKey| {
        let in_table = |entry: &ChainEntry| entry.chain.key.table == *table;
        let mut names = chains.iter().filter(|entry| in_table(entry));
        names.any(|entry| entry.chain.key.name.as_str().starts_with("DOCKER"))
    };
    chains
        .iter()
        .filter(|entry| filters_forward(entry))
        .filter(|entry| {
            let base = entry.chain.base;
            base.is_some_and(|base| base.policy == Policy::Drop)
        })
        .map(|entry| ForwardDrop {
            is_dockers: is_dockers(&entry.chain.key.table),
            chain: entry.chain.key.clone(),
            is_open: false,
        })
        .collect()
}

/// Whether IP packets that are forwarded come to a chain by themselves.
fn filters_forward(entry: &ChainEntry) -> bool {
    let sees_ip = matches!(
        entry.chain.key.table.family,
        Family::Ipv4 | Family::Ipv6 | Family::Inet
    );
    let is_filter =
        |base: meshlite_nft::Base| base.kind == ChainKind::Filter && base.hook == Hook::FORWARD;
    sees_ip && entry.chain.base.is_some_and(is_filter)
}

// === impl ForwardDrop ===

impl ForwardDrop {
    /// What to do about one that is not open.
    pub(crate) const TODO: &str = "Run with --open-forward to have an accept for them added at its end, or let its owner accept them";

    /// What is there.
    pub(crate) fn found(&self) -> String {
        let ChainKey { table, name } = &self.chain;
        let whose = if self.is_dockers {
            ", as Docker sets it"
        } else {
            ""
        };
        format!(
            "chain {name} of table {family} {table} drops what it does not know (policy drop{whose})",
            family = table.family,
            table = table.name,
        )
    }
}

/// As a finding says it.
impl fmt::Display for ForwardDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (found, todo) = (self.found(), Self::TODO);
        if self.is_open {
            write!(
                f,
                "{found}; an accept of ours at its end lets connections of Services pass"
            )
        } else {
            write!(
                f,
                "{found}: connections of Services that this node passes on to Pods elsewhere are lost there. {todo}"
            )
        }
    }
}

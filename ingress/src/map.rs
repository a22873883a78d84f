//! The map of what is looked up for every request.

#[expect(
    clippy::disallowed_types,
    reason = "looked up for every request, and never iterated in an order that matters"
)]
use std::collections::HashMap;

/// A map whose hash costs little. Its seed is random, but somebody who sees how long lookups take
/// may find it out: clients only ever ask for keys, and must not add any.
#[expect(clippy::disallowed_types, reason = "as above")]
pub(crate) type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

//! Tokens that were good a moment ago, so that five thousand clients that return cost no five thousand signatures.

use std::{
    collections::BTreeMap,
    mem,
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};
use tokio::time::Instant;

use super::Caller;

/// How long the API server's word on a token counts.
const REVIEW: Duration = Duration::from_mins(1);
/// The most tokens that are remembered in each of two generations.
const MOST: usize = 8192;

/// What stands for a token: its SHA-256. A token itself is kept nowhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TokenHash([u8; 32]);

/// The tokens that were verified lately. The least used half is forgotten where there are too many.
#[derive(Default)]
pub(super) struct Verified {
    young: BTreeMap<TokenHash, Entry>,
    old: BTreeMap<TokenHash, Entry>,
}

#[derive(Clone)]
struct Entry {
    caller: Caller,
    /// When the API server said that it is good; none where it said nothing.
    reviewed: Option<Instant>,
}

/// What is known of a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is good.
    Good(Caller),
    /// Its signature is good; the API server should be asked again.
    Unreviewed(Caller),
    /// Nothing.
    Nothing,
}

impl TokenHash {
    pub(super) fn of(token: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(hash)
    }

    /// One of so many, evenly.
    pub(super) fn shard(&self, shards: usize) -> usize {
        usize::from(self.0[0]) % shards
    }
}

impl Verified {
    /// What is known of a token; nothing where it has ended.
    pub(super) fn get(&mut self, hash: TokenHash, wall: SystemTime, now: Instant) -> Known {
        if let Some(entry) = self.old.remove(&hash) {
            self.insert(hash, entry);
        }
        let Some(entry) = self.young.get(&hash) else {
            return Known::Nothing;
        };
        if entry.caller.expires.is_none_or(|end| end <= wall) {
            self.young.remove(&hash);
            return Known::Nothing;
        }
        let is_fresh = |reviewed: Instant| now.saturating_duration_since(reviewed) < REVIEW;
        let caller = entry.caller.clone();
        if entry.reviewed.is_some_and(is_fresh) {
            Known::Good(caller)
        } else {
            Known::Unreviewed(caller)
        }
    }

    /// A token is good, as its signature and (`reviewed`) the API server say.
    pub(super) fn put(&mut self, hash: TokenHash, caller: Caller, reviewed: Option<Instant>) {
        self.old.remove(&hash);
        self.insert(hash, Entry { caller, reviewed });
    }

    /// A token is not good any more.
    pub(super) fn forget(&mut self, hash: TokenHash) {
        self.old.remove(&hash);
        self.young.remove(&hash);
    }

    /// The keys changed: every signature must be checked again.
    pub(super) fn clear(&mut self) {
        self.old.clear();
        self.young.clear();
    }

    fn insert(&mut self, hash: TokenHash, entry: Entry) {
        if self.young.len() >= MOST {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(hash, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_caller(expires: u64) -> Caller {
        Caller {
            expires: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(expires)),
            ..Caller::anyone()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_api_servers_word_counts_for_a_minute_and_a_token_until_it_ends() {
        let mut verified = Verified::default();
        let hash = TokenHash::of("one");
        let wall = SystemTime::UNIX_EPOCH;
        let now = Instant::now();
        assert_eq!(verified.get(hash, wall, now), Known::Nothing);
        verified.put(hash, mk_caller(600), Some(now));
        assert_eq!(verified.get(hash, wall, now), Known::Good(mk_caller(600)));
        let later = now + REVIEW;
        assert_eq!(
            verified.get(hash, wall, later),
            Known::Unreviewed(mk_caller(600))
        );
        assert_eq!(
            verified.get(TokenHash::of("two"), wall, now),
            Known::Nothing
        );
        let end = wall + Duration::from_mins(10);
        assert_eq!(verified.get(hash, end, now), Known::Nothing);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_used_is_remembered_and_the_number_is_bounded() {
        let mut verified = Verified::default();
        let (wall, now) = (SystemTime::UNIX_EPOCH, Instant::now());
        let used = TokenHash::of("used");
        verified.put(used, mk_caller(600), Some(now));
        for number in 0..5 * MOST {
            let hash = TokenHash::of(&number.to_string());
            verified.put(hash, mk_caller(600), Some(now));
            assert_ne!(
                verified.get(used, wall, now),
                Known::Nothing,
                "after {number}"
            );
        }
        assert!(verified.young.len() + verified.old.len() <= 2 * MOST);
        let first = TokenHash::of("0");
        assert_eq!(verified.get(first, wall, now), Known::Nothing);
    }
}

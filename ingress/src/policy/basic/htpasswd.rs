//! Users and their hashed passwords, as Apache's htpasswd writes them.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use tracing::warn;

use super::apr1;

/// The largest file that is read.
const MAX_BYTES: usize = 1024 * 1024;
/// The largest cost of bcrypt: each one more doubles the time, and this one takes a second.
const MAX_COST: u32 = 14;

/// The users of one file. Never printed.
#[derive(Default)]
pub(crate) struct Htpasswd(BTreeMap<Box<[u8]>, Hashed>);

/// A hashed password.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Hashed {
    Bcrypt(Box<str>),
    Apr1 { salt: Box<[u8]>, hash: Box<[u8]> },
    Sha1(Box<[u8]>),
}

impl Htpasswd {
    /// Reads `user:hash` lines. The first line of a user counts; a line that cannot be checked lets nobody in.
    pub(crate) fn parse(file: &[u8]) -> Self {
        if file.len() > MAX_BYTES {
            warn!(
                bytes = file.len(),
                "htpasswd file is too large, and lets nobody in"
            );
            return Self::default();
        }
        let mut users = BTreeMap::new();
        let mut refused = 0;
        for line in file.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let mut fields = line.splitn(3, |byte| *byte == b':');
            match (fields.next(), fields.next().and_then(Hashed::parse)) {
                (Some(user), Some(hashed)) if !user.is_empty() => {
                    users.entry(user.into()).or_insert(hashed);
                }
                _ => refused += 1,
            }
        }
        if refused > 0 {
            warn!(
                lines = refused,
                "htpasswd lines are not bcrypt, apr1 or SHA, and let nobody in"
            );
        }
        Self(users)
    }

    /// The hash to check a password of this user against. One who is not there takes as long as another, in vain.
    pub(super) fn hashed(&self, user: &[u8]) -> Option<(&Hashed, bool)> {
        let own = self.0.get(user).map(|hashed| (hashed, true));
        own.or_else(|| self.0.values().next().map(|decoy| (decoy, false)))
    }
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} users>", self.0.len())
    }
}

// === impl Hashed ===

impl Hashed {
    fn parse(text: &[u8]) -> Option<Self> {
        if let Some(rest) = text.strip_prefix(b"$apr1$") {
            let end = rest.iter().position(|byte| *byte == b'$')?;
            let (salt, hash) = (rest.get(..end)?, rest.get(end + 1..)?);
            return (salt.len() <= 8 && hash.len() == 22).then(|| Self::Apr1 {
                salt: salt.into(),
                hash: hash.into(),
            });
        }
        if let Some(encoded) = text.strip_prefix(b"{SHA}") {
            let hash = BASE64_STANDARD.decode(encoded).ok()?;
            return (hash.len() == digest::SHA1_OUTPUT_LEN).then(|| Self::Sha1(hash.into()));
        }
        let bcrypt = std::str::from_utf8(text).ok()?;
        let rest = ["$2y$", "$2a$", "$2b$"]
            .iter()
            .find_map(|prefix| bcrypt.strip_prefix(prefix))?;
        let (cost, hash) = rest.split_once('$')?;
        let cost: u32 = cost.parse().ok()?;
        (cost <= MAX_COST && hash.len() == 53).then(|| Self::Bcrypt(bcrypt.into()))
    }

    /// Whether checking takes long enough to be in the way of other requests.
    pub(super) fn is_slow(&self) -> bool {
        !matches!(self, Self::Sha1(_))
    }

    /// Whether this is the password. Takes up to a second.
    pub(super) fn is(&self, password: &[u8]) -> bool {
        let same = |a: &[u8], b: &[u8]| verify_slices_are_equal(a, b).is_ok();
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Apr1 { salt, hash } => same(&apr1::hash(password, salt), hash),
            Self::Sha1(hash) => {
                let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password);
                same(digest.as_ref(), hash)
            }
        }
    }

    /// What tells it from every other one.
    pub(super) fn identity(&self) -> &[u8] {
        match self {
            Self::Bcrypt(text) => text.as_bytes(),
            Self::Apr1 { hash, .. } | Self::Sha1(hash) => hash,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &[u8] = b"# users\n\
        bcrypt:$2b$04$Lyvn8MUD1Ef6HYyt/tqR4Ov1U/isbgIEUF6cKpfjdY/HT7I0cDgtC\r\n\
        apr1:$apr1$rOioh4Wh$OV5b2gZTOaWnk3SsAEpM21\n\
        sha:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n\
        \n\
        plain:password\n\
        des:rqXexS6ZhobKA\n\
        costly:$2b$31$Lyvn8MUD1Ef6HYyt/tqR4Ov1U/isbgIEUF6cKpfjdY/HT7I0cDgtC\n\
        sha:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

    fn lets_in(user: &str, password: &str) -> bool {
        let users = Htpasswd::parse(FILE);
        let (hashed, is_own) = users.hashed(user.as_bytes()).unwrap();
        hashed.is(password.as_bytes()) && is_own
    }

    #[test]
    fn bcrypt_apr1_and_sha_are_checked() {
        assert!(lets_in("bcrypt", "secret") && !lets_in("bcrypt", "Secret"));
        assert!(lets_in("apr1", "password") && !lets_in("apr1", ""));
        assert!(lets_in("sha", "password") && !lets_in("sha", "other"));
    }

    #[test]
    fn plain_text_des_and_a_costly_hash_let_nobody_in() {
        for user in ["plain", "des", "costly", "nobody", ""] {
            assert!(
                !lets_in(user, "password") && !lets_in(user, "secret"),
                "{user}"
            );
        }
    }

    #[test]
    fn users_are_not_printed() {
        assert_eq!(format!("{:?}", Htpasswd::parse(FILE)), "<3 users>");
    }

    proptest! {
        #[test]
        fn any_file_is_read(file in prop::collection::vec(any::<u8>(), 0..200)) {
            Htpasswd::parse(&file);
        }
    }
}

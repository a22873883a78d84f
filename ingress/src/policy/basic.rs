//! Basic authentication: a user and a password against an htpasswd file, checked away from other requests.

mod apr1;
mod htpasswd;

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::HeaderValue;
use tokio::{sync::Semaphore, time::timeout};

pub(crate) use self::htpasswd::Htpasswd;
use super::remember::Remembered;

/// Checked passwords that are remembered.
const MAX_REMEMBERED: usize = 4096;
/// How long a check may wait for others.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest `user:password`; browsers and tools have far shorter ones.
const MAX_CREDENTIALS: usize = 1024;

/// A route's demand for a password.
#[derive(Debug)]
pub(super) struct BasicAuth {
    /// `WWW-Authenticate`.
    pub(super) challenge: HeaderValue,
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// No user with this password.
    Unauthorized,
    /// Too many passwords are being checked.
    Busy,
}

/// What was found out about passwords, by all workers. Holds no password, only keyed hashes.
pub(crate) struct Passwords {
    key: hmac::Key,
    known: Mutex<Remembered<[u8; 32], bool>>,
    /// At most so many are checked at once, since each takes a core for a while.
    checks: Semaphore,
}

impl BasicAuth {
    /// None where the realm cannot be a header's.
    pub(super) fn new(realm: &str) -> Option<Self> {
        let realm = realm.replace('\\', "\\\\").replace('"', "\\\"");
        let challenge = HeaderValue::try_from(format!("Basic realm=\"{realm}\"")).ok()?;
        Some(Self { challenge })
    }

    /// Whether the credentials in an `Authorization` header are those of a user.
    pub(super) async fn check(
        users: &Htpasswd,
        header: Option<&HeaderValue>,
        passwords: &Passwords,
    ) -> Result<(), Denied> {
        let credentials = header.and_then(credentials).ok_or(Denied::Unauthorized)?;
        let colon = credentials.iter().position(|byte| *byte == b':');
        let (user, password) = credentials.split_at(colon.ok_or(Denied::Unauthorized)?);
        let password = password.get(1..).unwrap_or_default();
        let (hashed, is_own) = users.hashed(user).ok_or(Denied::Unauthorized)?;
        let key = passwords.key_of(&[hashed.identity(), user, password]);
        let is_right = if let Some(known) = passwords.get(key) {
            known
        } else {
            let is_right = if hashed.is_slow() {
                let permit = timeout(PATIENCE, passwords.checks.acquire()).await;
                let Ok(Ok(_permit)) = permit else {
                    return Err(Denied::Busy);
                };
                let (hashed, password) = (hashed.clone(), password.to_vec());
                let checked = tokio::task::spawn_blocking(move || hashed.is(&password));
                checked.await.map_err(|_gone| Denied::Busy)?
            } else {
                hashed.is(password)
            };
            passwords.put(key, is_right);
            is_right
        };
        if is_right && is_own {
            Ok(())
        } else {
            Err(Denied::Unauthorized)
        }
    }
}

/// The `user:password` in a header.
fn credentials(header: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > MAX_CREDENTIALS * 4 / 3 {
        return None;
    }
    BASE64_STANDARD.decode(encoded.trim()).ok()
}

// === impl Passwords ===

impl Passwords {
    /// `secret` is random, and of this process alone.
    pub(crate) fn new(secret: &[u8], checks: usize) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            known: Mutex::new(Remembered::new(MAX_REMEMBERED)),
            checks: Semaphore::new(checks),
        }
    }

    fn key_of(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        let mut key = [0; 32];
        for (byte, signed) in key.iter_mut().zip(context.sign().as_ref()) {
            *byte = *signed;
        }
        key
    }

    fn get(&self, key: [u8; 32]) -> Option<bool> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&key)
    }

    fn put(&self, key: [u8; 32], is_right: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.put(key, is_right);
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(header: Option<&str>, passwords: &Passwords) -> Result<(), Denied> {
        let users = b"anna:$apr1$rOioh4Wh$OV5b2gZTOaWnk3SsAEpM21";
        let header = header.map(|header| HeaderValue::from_str(header).unwrap());
        BasicAuth::check(&Htpasswd::parse(users), header.as_ref(), passwords).await
    }

    #[tokio::test]
    async fn only_a_user_with_its_password_is_let_in() {
        let passwords = Passwords::new(b"secret", 1);
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        for _ in 0..2 {
            let good = basic("anna:password");
            assert_eq!(check(Some(&good), &passwords).await, Ok(()));
            let good = good.replace("Basic", "bAsIc");
            assert_eq!(check(Some(&good), &passwords).await, Ok(()));
            for bad in [
                "anna:",
                "anna:Password",
                "bert:password",
                "anna",
                ":password",
                "",
            ] {
                let answer = check(Some(&basic(bad)), &passwords).await;
                assert_eq!(answer, Err(Denied::Unauthorized), "{bad}");
            }
            for bad in ["Bearer YW5uYTpwYXNzd29yZA==", "Basic", "Basic %%%"] {
                let answer = check(Some(bad), &passwords).await;
                assert_eq!(answer, Err(Denied::Unauthorized), "{bad}");
            }
        }
        assert_eq!(check(None, &passwords).await, Err(Denied::Unauthorized));
    }

    #[test]
    fn a_realm_cannot_leave_its_quotes() {
        let auth = BasicAuth::new("a\" b\\").unwrap();
        assert_eq!(auth.challenge, "Basic realm=\"a\\\" b\\\\\"");
    }
}

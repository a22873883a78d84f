//! Apache's MD5 password hash, `$apr1$salt$hash`: a thousand rounds of MD5, as `htpasswd -m` writes it.

use md5::{Digest as _, Md5};

const MAGIC: &[u8] = b"$apr1$";
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The order in which the digest's bytes are written, three at a time.
const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
const ROUNDS: usize = 1000;

/// The 22 characters after the salt.
pub(super) fn hash(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let inner = Md5::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(password)
        .finalize();
    let mut outer = Md5::new();
    outer.update(password);
    outer.update(MAGIC);
    outer.update(salt);
    for start in (0..password.len()).step_by(inner.len()) {
        let left = (password.len() - start).min(inner.len());
        outer.update(inner.get(..left).unwrap_or_default());
    }
    let mut length = password.len();
    while length > 0 {
        outer.update(if length & 1 == 1 {
            &[0][..]
        } else {
            password.get(..1).unwrap_or_default()
        });
        length >>= 1;
    }
    let mut digest = outer.finalize();
    for round in 0..ROUNDS {
        let mut next = Md5::new();
        let is_odd = round % 2 == 1;
        if is_odd {
            next.update(password);
        } else {
            next.update(digest);
        }
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        if is_odd {
            next.update(digest);
        } else {
            next.update(password);
        }
        digest = next.finalize();
    }
    let byte = |at: usize| digest.get(at).copied().map_or(0, u32::from);
    let mut text = Vec::with_capacity(22);
    for [high, middle, low] in ORDER {
        write(
            &mut text,
            byte(high) << 16 | byte(middle) << 8 | byte(low),
            4,
        );
    }
    write(&mut text, byte(11), 2);
    text
}

fn write(text: &mut Vec<u8>, mut bits: u32, count: usize) {
    for _ in 0..count {
        let at = usize::try_from(bits & 0x3f).unwrap_or_default();
        text.extend(ALPHABET.get(at));
        bits >>= 6;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_openssl() {
        for (password, salt, expected) in [
            ("password", "rOioh4Wh", "OV5b2gZTOaWnk3SsAEpM21"),
            ("", "12345678", "sHuPAw7VA9xjRbJz7zKV7/"),
            (
                "a much longer password than sixteen bytes",
                "abc",
                "IIW/V525X46ri30NUi0KL0",
            ),
        ] {
            let hash = hash(password.as_bytes(), salt.as_bytes());
            assert_eq!(String::from_utf8(hash).unwrap(), expected, "{password}");
        }
    }
}

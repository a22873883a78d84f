//! The name of a resource: `[cluster/]namespace/name[/part]`.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Serialize, Serializer};

/// A resource's name, unique within its type. Cheap to clone.
///
/// One to four segments, separated by `/`, none of them empty: `node-1`, `default/web`, `default/web/web-x7k2p`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a string is not a resource name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Longer than [`Name::MAX_BYTES`].
    #[error("resource name of {0} bytes is longer than {max}", max = Name::MAX_BYTES)]
    TooLong(usize),
    /// Not one to four non-empty segments.
    #[error("resource name {0:?} is not [cluster/]namespace/name[/part]")]
    Segments(String),
    /// White space or a control character.
    #[error("resource name {0:?} contains white space or a control character")]
    Character(String),
}

impl Name {
    /// Three Kubernetes names of 253 bytes and their separators, rounded up.
    pub const MAX_BYTES: usize = 1024;

    /// Checks and makes a name.
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidName> {
        let name = name.as_ref();
        Self::check(name)?;
        Ok(Self(name.into()))
    }

    /// Whether this can be a name.
    pub fn check(name: &str) -> Result<(), InvalidName> {
        if name.len() > Self::MAX_BYTES {
            return Err(InvalidName::TooLong(name.len()));
        }
        // Nearly all names are ASCII, of which this is all that is neither white space nor a control character.
        let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain && name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(InvalidName::Character(name.to_owned()));
        }
        let mut segments = 0;
        for segment in name.as_bytes().split(|byte| *byte == b'/') {
            segments += 1;
            if segment.is_empty() || segments > 4 {
                return Err(InvalidName::Segments(name.to_owned()));
            }
        }
        Ok(())
    }

    /// The name of a namespaced object: `namespace/name`.
    pub fn namespaced(namespace: &str, name: &str) -> Result<Self, InvalidName> {
        Self::new(format!("{namespace}/{name}"))
    }

    /// The name of a part of a namespaced object: `namespace/name/part`.
    pub fn part(namespace: &str, name: &str, part: impl fmt::Display) -> Result<Self, InvalidName> {
        Self::new(format!("{namespace}/{name}/{part}"))
    }

    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is a part of: the name without its last segment; empty where it has but one.
    pub fn parent(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(parent, _)| parent)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl std::str::FromStr for Name {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_to_four_segments() {
        for good in [
            "node-1",
            "default/web",
            "default/web/web-x7k2p",
            "east/default/web/*.example.com",
        ] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "/", "a//b", "/a", "a/", "a/b/c/d/e"] {
            assert_eq!(
                Name::new(bad),
                Err(InvalidName::Segments(bad.into())),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn names_are_printable_and_bounded() {
        assert_eq!(
            Name::new("a/b c"),
            Err(InvalidName::Character("a/b c".into()))
        );
        assert_eq!(Name::new("a\n"), Err(InvalidName::Character("a\n".into())));
        let wide = "a/b\u{2003}c";
        assert_eq!(Name::new(wide), Err(InvalidName::Character(wide.into())));
        assert_eq!(Name::new("a/bü").unwrap().as_str(), "a/bü");
        assert_eq!(Name::new("a".repeat(1025)), Err(InvalidName::TooLong(1025)));
    }
}

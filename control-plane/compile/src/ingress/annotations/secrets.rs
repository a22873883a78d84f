//! Secrets that annotations name, and what of them is needed.

use meshlite_snapshot::Name;

use super::written::{Value, Written};
use crate::{ObjectKey, annotations, report::resource_name};

/// What of a Secret is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ingress) enum Part {
    /// The key `auth`: lines of htpasswd.
    Passwords,
    /// Every key is a user, its value the hash of the password.
    Users,
    /// The key `ca.crt`.
    Authorities,
    /// The keys `tls.crt` and `tls.key`.
    Identity,
}

/// A part of a Secret, with the name of the credential that holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ingress) struct SecretPart {
    pub(in crate::ingress) name: Name,
    pub(in crate::ingress) secret: ObjectKey,
    pub(in crate::ingress) part: Part,
}

/// The part of the Secret that a value names; where it cannot be named, the routes are closed.
///
/// A Secret of another namespace is none's but that namespace's: whoever may write an Ingress could try out its
/// passwords or use its keys.
pub(super) fn named(
    written: &mut Written<'_, '_>,
    value: &Value<'_>,
    part: Part,
) -> Option<SecretPart> {
    let own = &written.ingress.namespace;
    let problem = match annotations::secret(value.text, own) {
        None => "is not the name of a Secret".to_owned(),
        Some(secret) if secret.namespace != *own => {
            format!("is a Secret of another namespace than {own}, which may not be named")
        }
        Some(secret) => {
            let mut segments = vec![&*secret.namespace, &*secret.name];
            if part == Part::Users {
                segments.push("users");
            }
            match resource_name(&segments) {
                Ok(name) => return Some(SecretPart { name, secret, part }),
                Err(error) => error.to_string(),
            }
        }
    };
    written.close(value, &problem);
    None
}

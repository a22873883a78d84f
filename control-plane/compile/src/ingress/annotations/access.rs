//! Who may send requests: lists of addresses, and passwords.

use ipnet::IpNet;
use meshlite_snapshot::BasicAuth;

use super::{
    Asked,
    secrets::{self, Part},
    written::{Value, Written},
};
use crate::values;

const DEFAULT_REALM: &str = "Authentication Required";

pub(super) fn read(written: &mut Written<'_, '_>, asked: &mut Asked) {
    let allow = written
        .value("allowlist-source-range")
        .or_else(|| written.value("whitelist-source-range"));
    let deny = written.value("denylist-source-range");
    let satisfies = [("any", true), ("all", false)];
    let access = &mut asked.policy.access;
    access.satisfy_any = written
        .protecting_choice("satisfy", &satisfies)
        .unwrap_or_default();
    if let Some(value) = allow {
        access.allow = networks(written, &value);
    }
    if let Some(value) = deny {
        access.deny = networks(written, &value);
    }
    if let Some((field, realm, users)) = basic(written) {
        let users = asked.secret(field, users);
        asked.policy.access.basic = Some(BasicAuth { realm, users });
    }
}

fn networks(written: &mut Written<'_, '_>, value: &Value<'_>) -> Vec<IpNet> {
    match all_networks(value) {
        Ok(networks) => networks,
        Err(bad) => {
            written.close(value, &format!("holds {bad:?}, which is no network"));
            vec![]
        }
    }
}

/// Networks and single addresses between commas, or the first that is neither.
pub(super) fn all_networks<'a>(value: &Value<'a>) -> Result<Vec<IpNet>, &'a str> {
    let network = |text: &'a str| {
        let network = text
            .parse()
            .ok()
            .or_else(|| values::ip(text).map(IpNet::from));
        network.map(|network| network.trunc()).ok_or(text)
    };
    value.list().map(network).collect()
}

/// The annotation's path, the realm and the Secret with the users.
fn basic(written: &mut Written<'_, '_>) -> Option<(String, String, secrets::SecretPart)> {
    let secret = written.value("auth-secret");
    let is_on = match (written.value("auth-type"), &secret) {
        (Some(kind), _) if kind.text.eq_ignore_ascii_case("basic") => Some(kind),
        (Some(kind), _) => {
            written.close(&kind, "is not supported, only basic");
            return None;
        }
        (None, Some(secret)) if secret.is_nginx => {
            written.warn(secret, "asks for no password without auth-type: basic");
            return None;
        }
        (None, Some(_)) => None,
        (None, None) => return None,
    };
    let kinds = [("auth-file", Part::Passwords), ("auth-map", Part::Users)];
    let part = match written.value("auth-secret-type") {
        Some(_) => written.protecting_choice("auth-secret-type", &kinds)?,
        None => Part::Passwords,
    };
    let Some(secret) = secret else {
        if let Some(kind) = is_on {
            written.close(&kind, "needs auth-secret");
        }
        return None;
    };
    let realm = written.value("auth-realm");
    let realm = match realm {
        Some(realm)
            if realm.text.contains(['"', '\\']) || realm.text.contains(char::is_control) =>
        {
            written.invalid(&realm, "holds quotes, backslashes or control characters");
            DEFAULT_REALM
        }
        Some(realm) => realm.text,
        None => DEFAULT_REALM,
    };
    let users = secrets::named(written, &secret, part)?;
    Some((secret.field, realm.to_owned(), users))
}

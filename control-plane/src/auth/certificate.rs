//! Whom a client certificate is of. That it is signed by the right CA was verified in the handshake.

use std::time::{Duration, SystemTime};

use x509_parser::{parse_x509_certificate, x509::AttributeTypeAndValue};

use super::{Caller, Rights, refusal::Refusal};

/// The longest name that is taken, in bytes: the longest of Kubernetes.
const LONGEST: usize = 253;

/// Whom this certificate (DER) is of: its organisations say what the caller may do, its common name who that is. A node
/// may be no other than its common name.
pub(crate) fn caller(der: &[u8]) -> Result<Caller, Refusal> {
    let Ok((_, certificate)) = parse_x509_certificate(der) else {
        return Err(Refusal::Certificate("it cannot be read"));
    };
    let subject = certificate.subject();
    let mut names = subject.iter_common_name().filter_map(text);
    let (Some(name), None) = (names.next(), names.next()) else {
        return Err(Refusal::Certificate("it has not exactly one common name"));
    };
    if name.is_empty() || name.len() > LONGEST {
        return Err(Refusal::Certificate(
            "its common name is empty or longer than 253 bytes",
        ));
    }
    let mut rights = Rights::default();
    for organisation in subject.iter_organization().filter_map(text) {
        match organisation {
            "meshlite:node" => rights.node = true,
            "meshlite:ingress" => rights.ingress = true,
            "meshlite:reader" => rights.read = true,
            "meshlite:replica" => rights.replica = true,
            _ => {}
        }
    }
    if rights == Rights::default() {
        return Err(Refusal::NoRights(format!("the certificate of {name}")));
    }
    let Ok(end) = u64::try_from(certificate.validity().not_after.timestamp()) else {
        return Err(Refusal::Certificate("it ended before 1970"));
    };
    Ok(Caller {
        name: name.into(),
        rights,
        node: rights.node.then(|| name.into()),
        expires: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(end)),
    })
}

fn text<'a>(attribute: &'a AttributeTypeAndValue<'_>) -> Option<&'a str> {
    attribute.as_str().ok()
}

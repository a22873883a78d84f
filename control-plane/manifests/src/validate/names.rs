//! The rules for names, labels and port names. Each returns what is wrong, in Kubernetes' words.

/// What is wrong with a value; nothing if it follows the rule.
pub(super) type Rule = fn(&str) -> Option<&'static str>;

const LONGER_THAN_63: &str = "must be no more than 63 bytes";
const LONGER_THAN_253: &str = "must be no more than 253 bytes";

/// An RFC 1123 label: the name of a Namespace, of a Service port, of a host.
pub(super) fn dns_label(value: &str) -> Option<&'static str> {
    if value.len() > 63 {
        return Some(LONGER_THAN_63);
    }
    (!is_label(value.as_bytes())).then_some(
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
         end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    )
}

/// An RFC 1123 subdomain: the name of most objects.
pub(super) fn dns_subdomain(value: &str) -> Option<&'static str> {
    if value.len() > 253 {
        return Some(LONGER_THAN_253);
    }
    (!is_subdomain(value)).then_some(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
         start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    )
}

/// An RFC 1035 label: the name of a Service.
pub(super) fn dns_1035_label(value: &str) -> Option<&'static str> {
    if value.len() > 63 {
        return Some(LONGER_THAN_63);
    }
    let bytes = value.as_bytes();
    let good = is_label(bytes) && bytes.first().is_some_and(u8::is_ascii_lowercase);
    (!good).then_some(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
         character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
         validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
    )
}

/// `*.` and a subdomain: a wildcard host.
pub(super) fn wildcard_subdomain(value: &str) -> Option<&'static str> {
    if value.len() > 253 {
        return Some(LONGER_THAN_253);
    }
    (!value.strip_prefix("*.").is_some_and(is_subdomain)).then_some(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist \
         of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. \
         '*.example.com', regex used for validation is \
         '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    )
}

/// The name of a container port (`IANA_SVC_NAME`), also as a `targetPort`.
pub(super) fn port_name(value: &str) -> Option<&'static str> {
    let bytes = value.as_bytes();
    let alphanumeric = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    if bytes.len() > 15 {
        Some("must be no more than 15 bytes")
    } else if !bytes
        .iter()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
    {
        Some("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    } else if !bytes.iter().any(u8::is_ascii_lowercase) {
        Some("must contain at least one letter (a-z)")
    } else if value.contains("--") {
        Some("must not contain consecutive hyphens")
    } else if !alphanumeric(bytes.first()) || !alphanumeric(bytes.last()) {
        Some("must not begin or end with a hyphen")
    } else {
        None
    }
}

/// The key of a label or annotation, an `appProtocol`: `[subdomain/]name`.
pub(super) fn qualified_name(value: &str) -> Option<&'static str> {
    let (prefix, name) = match value.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, value),
    };
    if prefix.is_some_and(str::is_empty) {
        Some("prefix part must be non-empty")
    } else if prefix.is_some_and(|prefix| prefix.len() > 253 || !is_subdomain(prefix)) {
        Some("prefix part must be a lowercase RFC 1123 subdomain (e.g. 'example.com')")
    } else if name.is_empty() {
        Some("name part must be non-empty")
    } else if name.len() > 63 {
        Some("name part must be no more than 63 bytes")
    } else if !is_label_text(name.as_bytes()) {
        Some(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
             alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
             '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        )
    } else {
        None
    }
}

/// The value of a label.
pub(super) fn label_value(value: &str) -> Option<&'static str> {
    if value.len() > 63 {
        return Some(LONGER_THAN_63);
    }
    (!value.is_empty() && !is_label_text(value.as_bytes())).then_some(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
         start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
         validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    )
}

/// The key of an entry of a Secret.
pub(super) fn config_key(value: &str) -> Option<&'static str> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if value.len() > 253 {
        Some(LONGER_THAN_253)
    } else if value.is_empty() || !value.bytes().all(good) {
        Some(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        )
    } else if value == "." || value == ".." || value.starts_with("..") {
        Some("must not start with '..'")
    } else {
        None
    }
}

/// The controller of an IngressClass: `example.com/controller`.
pub(super) fn domain_prefixed_path(value: &str) -> Option<&'static str> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
    match value.split_once('/') {
        Some((domain, path))
            if is_subdomain(domain) && !path.is_empty() && path.bytes().all(good) =>
        {
            None
        }
        _ => Some("must be a domain-prefixed path (such as \"acme.io/foo\")"),
    }
}

/// A name that can be a segment of a URL's path.
pub(super) fn path_segment(value: &str) -> Option<&'static str> {
    match value {
        "." => Some("may not be '.'"),
        ".." => Some("may not be '..'"),
        _ if value.contains('/') => Some("may not contain '/'"),
        _ if value.contains('%') => Some("may not contain '%'"),
        _ => None,
    }
}

/// A fully qualified domain name, as an address of an EndpointSlice of type `FQDN`.
pub(super) fn fully_qualified(value: &str) -> Option<&'static str> {
    let name = value.strip_suffix('.').unwrap_or(value);
    if name.len() > 253 {
        Some(LONGER_THAN_253)
    } else if !is_subdomain(name) {
        dns_subdomain(name)
    } else if !name.contains('.') {
        Some("should be a domain with at least two segments separated by dots")
    } else {
        None
    }
}

fn is_label(bytes: &[u8]) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

/// As in Kubernetes, where only the whole name is bounded, not each label.
fn is_subdomain(value: &str) -> bool {
    value.split('.').all(|label| is_label(label.as_bytes()))
}

fn is_label_text(bytes: &[u8]) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: Rule, good: &[&str], bad: &[&str]) {
        for value in good {
            assert_eq!(rule(value), None, "{value:?}");
        }
        for value in bad {
            assert!(rule(value).is_some(), "{value:?}");
        }
    }

    #[test]
    fn labels_are_lower_case_and_have_no_hyphen_at_their_ends() {
        let long = "a".repeat(64);
        let bad = ["", "-a", "a-", "A", "a.b", "a_b", "ä", &long];
        check(dns_label, &["a", "80-80", "1", &"a".repeat(63)], &bad);
        check(
            dns_1035_label,
            &["a", "web-1"],
            &["1a", "80-80", "-", "", &long],
        );
    }

    #[test]
    fn subdomains_are_labels_with_dots() {
        check(
            dns_subdomain,
            &["a", "a.b-c.d", "1.2"],
            &["", ".", "a.", ".a", "a..b", "*.a", "a.B", &"a".repeat(254)],
        );
        check(
            wildcard_subdomain,
            &["*.foo.com", "*.com"],
            &["*", "*.", "a.*.com", "*.*.com", "*foo.com"],
        );
    }

    #[test]
    fn port_names_have_a_letter_and_at_most_15_bytes() {
        check(
            port_name,
            &["http", "a1", "80a"],
            &[
                "",
                "80",
                "a--b",
                "-a",
                "a-",
                "Http",
                "a_b",
                "abcdefghijklmnop",
            ],
        );
    }

    #[test]
    fn qualified_names_may_have_a_domain() {
        check(
            qualified_name,
            &["app", "kubernetes.io/h2c", "a.b/C_d"],
            &["", "/a", "a/", "a/b/c", "A.b/c", "-a", &"a".repeat(64)],
        );
        check(label_value, &["", "A_b.c"], &["-", "a b", &"a".repeat(64)]);
    }

    #[test]
    fn a_controller_is_a_domain_and_a_path() {
        check(
            domain_prefixed_path,
            &["meshlite.io/ingress", "k8s.io/a/b"],
            &["", "meshlite", "meshlite.io/", "/a", "A.io/b", "a.io/b c"],
        );
        check(fully_qualified, &["a.b", "a.b."], &["a", "A.b", ""]);
        check(path_segment, &["a"], &[".", "..", "a/b", "a%"]);
        check(config_key, &["tls.crt"], &["", "a/b", "..a", "."]);
    }
}
